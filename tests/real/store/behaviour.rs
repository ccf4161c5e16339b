//! Reading, searching and proving records.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result};
use eventcenter::domain::audit::merkle::Hash;
use eventcenter::domain::audit::{Filter, LogName, Outcome, Record, canonical_json};
use eventcenter::store::{Audit, Store, StoredCheckpoint, StoredRecord};
use jiff::Timestamp;

use super::database::TestDatabase;
use super::journal::{TestJournal, all, event, in_time, log, options, signed, verify};
use super::on_both;

on_both! {
    records_are_read_back_unchanged,
    a_filter_finds_all_matching_records,
    the_index_follows_the_log,
    a_started_action_is_open_until_it_is_completed,
    a_query_never_returns_records_of_another_log,
    records_are_listed_forward,
    inclusion_and_consistency_are_proved,
    a_restart_continues_the_log,
    checkpoints_are_stored_once,
    after_the_retention_the_rest_verifies,
}

struct TestLog {
    database: TestDatabase,
    store: Store,
    audit: Audit,
    acme: LogName,
}

impl TestLog {
    /// Creates a log with a number of records.
    async fn create(database: TestDatabase, count: usize) -> Result<Self> {
        let store = database.store().await?;
        let test = Self { database, audit: store.audit(), acme: log("acme"), store };
        test.more(&test.acme, count).await?;
        Ok(test)
    }

    async fn more(&self, log: &LogName, count: usize) -> Result<Vec<uuid::Uuid>> {
        let journal = TestJournal::start(&self.store, options("a"))?;
        let ids = journal.record_many(log, count).await?;
        journal.stop().await?;
        Ok(ids)
    }

    /// All records, newest first.
    async fn all(&self) -> Result<Vec<StoredRecord>> {
        all(&self.audit, &self.acme, &Filter::default(), 1000).await
    }
}

async fn records_are_read_back_unchanged(database: TestDatabase) -> Result<()> {
    let test = TestLog::create(database, 0).await?;
    assert_eq!(test.audit.list_logs().await?, []);
    let empty = test.audit.read_head(&test.acme).await?;
    assert_eq!((empty.size, empty.first, empty.range.root()), (0, 0, Some(Hash::empty())));
    assert_eq!(test.audit.list_backward(&test.acme, &Filter::default(), None, 10).await?.next, None);

    let ids = test.more(&test.acme, 300).await?;
    let records = test.all().await?;
    let read: Vec<_> = records.iter().rev().map(|stored| stored.record.id).collect();
    assert_eq!(read.iter().collect::<BTreeSet<_>>(), ids.iter().collect());
    for (seq, stored) in records.iter().rev().enumerate() {
        let record = &stored.record;
        assert_eq!(record.seq, u64::try_from(seq)?);
        assert_eq!(stored.body.as_bytes(), canonical_json(record), "the stored body is canonical");
        assert_eq!(stored.hash, Hash::leaf(stored.body.as_bytes()));
        let number: usize = record
            .request_id
            .as_deref()
            .and_then(|id| id.strip_prefix("request-"))
            .context("a request id of the test")?
            .parse()?;
        let expected =
            event(&test.acme, number).into_draft(record.id, record.time, "webhook", "a").at_seq(record.seq);
        assert_eq!(*record, expected);
        assert_eq!(test.audit.get_record(&test.acme, record.id).await?.as_ref(), Some(stored));
    }
    assert_eq!(test.audit.list_logs().await?, std::slice::from_ref(&test.acme));
    assert_eq!(test.audit.read_head(&test.acme).await?.size, 300);
    test.store.close().await;
    Ok(())
}

/// A simple reference implementation of filters.
fn matches(filter: &Filter, record: &Record) -> bool {
    let is = |wanted: &Option<String>, value: Option<&str>| {
        wanted.as_deref().is_none_or(|wanted| Some(wanted) == value)
    };
    let target = record.target.as_ref();
    let texts = [
        Some(record.actor.user.as_str()),
        Some(&record.action),
        target.map(|target| target.kind.as_str()),
        target.and_then(|target| target.namespace.as_deref()),
        target.map(|target| target.name.as_str()),
        record.reason.as_deref(),
        record.message.as_deref(),
        record.request_id.as_deref(),
    ];
    let contains = |wanted: &String| {
        let wanted = wanted.to_ascii_lowercase();
        texts.iter().flatten().any(|text| text.to_ascii_lowercase().contains(&wanted))
    };
    is(&filter.actor, Some(&record.actor.user))
        && is(&filter.action, Some(&record.action))
        && is(&filter.kind, target.map(|target| target.kind.as_str()))
        && is(&filter.namespace, target.and_then(|target| target.namespace.as_deref()))
        && is(&filter.name, target.map(|target| target.name.as_str()))
        && filter.outcome.is_none_or(|outcome| outcome == record.outcome)
        && filter.since.is_none_or(|since| record.time >= since)
        && filter.until.is_none_or(|until| record.time < until)
        && filter.text.as_ref().is_none_or(contains)
}

async fn a_filter_finds_all_matching_records(database: TestDatabase) -> Result<()> {
    let test = TestLog::create(database, 2400).await?;
    let records = test.all().await?;
    let (early, late) = (records[1600].record.time, records[500].record.time);
    let some = |text: &str| Some(text.to_owned());
    let any = Filter::default;
    let filters = [
        any(),
        Filter { actor: some("carol"), ..any() },
        Filter { actor: some("caro"), ..any() },
        Filter { action: some("Delete"), ..any() },
        Filter { kind: some("EventSubscription"), ..any() },
        Filter { kind: some("EventTopic"), ..any() },
        Filter { namespace: some("payments"), ..any() },
        Filter { name: some("topic-7"), ..any() },
        Filter { kind: some("EventTopic"), namespace: some("orders"), name: some("topic-7"), ..any() },
        Filter { outcome: Some(Outcome::Denied), ..any() },
        Filter { outcome: Some(Outcome::Allowed), actor: some("bob@example.com"), ..any() },
        Filter { outcome: Some(Outcome::Failed), ..any() },
        Filter { since: Some(early), ..any() },
        Filter { until: Some(late), ..any() },
        Filter { since: Some(early), until: Some(late), actor: some("carol"), ..any() },
        Filter { until: Some(early), outcome: Some(Outcome::Denied), namespace: some("orders"), ..any() },
        Filter { since: Some(late), until: Some(early), ..any() },
        Filter { text: some("CAROL"), ..any() },
        Filter { text: some("number 12"), ..any() },
        Filter { text: some("%"), ..any() },
        Filter { text: some("0%_"), ..any() },
        Filter { text: some("100%_SURE“"), name: some("topic-3"), ..any() },
        Filter { text: some("' OR 1=1 --"), ..any() },
        Filter { actor: some("' OR '1'='1"), ..any() },
    ];
    // Fully indexed, partially indexed, and not indexed.
    for (state, statements) in [
        (2048, None),
        (1024, Some("DELETE FROM audit_posting WHERE segment > 0; UPDATE audit_indexed SET segments = 1")),
        (0, Some("DELETE FROM audit_posting; DELETE FROM audit_indexed")),
    ] {
        match statements {
            Some(statements) => test.database.sql(statements).await?,
            None => test.audit.index_log(&test.acme).await?,
        }
        assert_eq!(test.audit.read_indexed_end(&test.acme).await?, state);
        for filter in &filters {
            let expected: Vec<_> = records.iter().filter(|stored| matches(filter, &stored.record)).collect();
            for limit in [41, 1000] {
                let found = all(&test.audit, &test.acme, filter, limit).await?;
                assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{filter:?} by {limit} with {state}");
            }
        }
    }
    assert!(
        filters.iter().filter(|filter| records.iter().any(|one| matches(filter, &one.record))).count() > 15
    );
    test.store.close().await;
    Ok(())
}

/// Also for records that were written without being indexed.
async fn the_index_follows_the_log(database: TestDatabase) -> Result<()> {
    let test = TestLog::create(database, 1100).await?;
    test.database.sql("DELETE FROM audit_posting; DELETE FROM audit_indexed").await?;
    let journal = TestJournal::start(&test.store, options("a"))?;
    let indexed_until = async |until: u64| {
        while test.audit.read_indexed_end(&test.acme).await? < until {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        anyhow::Ok(())
    };
    in_time("existing records are indexed", indexed_until(1024)).await?;
    journal.record_many(&test.acme, 1000).await?;
    in_time("new records are indexed", indexed_until(2048)).await?;
    journal.stop().await?;
    test.store.close().await;
    Ok(())
}

async fn a_started_action_is_open_until_it_is_completed(database: TestDatabase) -> Result<()> {
    let test = TestLog::create(database, 20).await?;
    let journal = TestJournal::start(&test.store, options("a"))?;
    let mut start = event(&test.acme, 1);
    start.outcome = Outcome::Started;
    let done = journal.record(start.clone()).await?;
    let left = journal.record(start.clone()).await?;
    let end = journal.record(start.completion(done, Outcome::Succeeded, None)).await?;
    let open = Filter { open: true, ..Filter::default() };
    let found = all(&test.audit, &test.acme, &open, 10).await?;
    assert_eq!(found.iter().map(|stored| stored.record.id).collect::<Vec<_>>(), [left]);
    let completion = |id| test.audit.get_completion(&test.acme, id);
    assert_eq!(completion(done).await?.map(|stored| stored.record.id), Some(end));
    assert_eq!(completion(left).await?, None);
    journal.stop().await?;
    test.store.close().await;
    Ok(())
}

async fn a_query_never_returns_records_of_another_log(database: TestDatabase) -> Result<()> {
    let test = TestLog::create(database, 300).await?;
    let globex = log("globex");
    let theirs = test.more(&globex, 310).await?;
    let (audit, acme) = (&test.audit, &test.acme);
    let ours = |stored: &StoredRecord| stored.record.tenant == *acme;
    for filter in [
        Filter::default(),
        Filter { actor: Some("carol".into()), ..Filter::default() },
        Filter { outcome: Some(Outcome::Denied), ..Filter::default() },
        Filter { text: Some("number".into()), ..Filter::default() },
    ] {
        assert!(all(audit, acme, &filter, 100).await?.iter().all(ours));
        assert!(audit.list_forward(acme, &filter, 0, 1000, 1000).await?.records.iter().all(ours));
    }
    for id in theirs {
        assert_eq!(audit.get_record(acme, id).await?, None);
        assert_eq!(audit.get_completion(acme, id).await?, None);
    }
    assert_eq!(audit.read_rows(acme, 0, 1000).await?.len(), 300);
    assert_ne!(audit.read_nodes(acme, 0, 300).await?, audit.read_nodes(&globex, 0, 300).await?);
    audit.insert_checkpoint(&globex, &signed(audit, &globex).await?).await?;
    assert_eq!(audit.list_checkpoints(acme, 10).await?, []);
    assert_eq!(audit.list_logs().await?, [acme.clone(), globex]);
    test.store.close().await;
    Ok(())
}

async fn records_are_listed_forward(database: TestDatabase) -> Result<()> {
    let test = TestLog::create(database, 300).await?;
    for filter in [Filter::default(), Filter { name: Some("topic-7".into()), ..Filter::default() }] {
        let expected: Vec<_> = test.all().await?.into_iter().rev().collect();
        let expected: Vec<_> = expected.into_iter().filter(|one| matches(&filter, &one.record)).collect();
        for (from, until, limit) in [(0, 300, 1000), (0, 300, 7), (17, 250, 50), (300, 400, 5)] {
            let (mut found, mut at) = (Vec::new(), Some(from));
            while let Some(from) = at {
                let page = test.audit.list_forward(&test.acme, &filter, from, until, limit).await?;
                assert!(page.records.len() <= limit);
                assert!(page.next.is_none_or(|next| next > from), "progress");
                found.extend(page.records);
                at = page.next;
            }
            let within = |one: &&StoredRecord| (from..until).contains(&one.record.seq);
            let expected: Vec<_> = expected.iter().filter(within).collect();
            assert_eq!(
                found.iter().collect::<Vec<_>>(),
                expected,
                "{filter:?} from {from} until {until} by {limit}"
            );
        }
    }
    test.store.close().await;
    Ok(())
}

async fn inclusion_and_consistency_are_proved(database: TestDatabase) -> Result<()> {
    let test = TestLog::create(database, 700).await?;
    let (audit, acme) = (&test.audit, &test.acme);
    let records = test.all().await?;
    let leaf = |seq: u64| records[699 - usize::try_from(seq).unwrap_or_default()].hash;
    let root = async |size| {
        anyhow::Ok(audit.read_range(acme, 0, size).await?.root().context("the range begins at 0")?)
    };
    assert_eq!(root(700).await?, audit.read_head(acme).await?.range.root().context("the range begins at 0")?);
    for size in [1, 2, 255, 256, 257, 511, 513, 700] {
        let whole = root(size).await?;
        for seq in [0, 1, 17, 254, 255, 256, 300, 511, 512, 699].into_iter().filter(|seq| *seq < size) {
            let proof = audit.prove_inclusion(acme, seq, size).await?;
            assert!(proof.holds(&leaf(seq), &whole), "record {seq} of {size}");
            assert!(
                !proof.holds(&leaf(seq + 1 - 2 * (seq % 2)), &whole) || size == 1,
                "record {seq} of {size}"
            );
        }
        for from in [0, 1, 2, 128, 255, 256, 300, 512].into_iter().filter(|from| *from <= size) {
            let proof = audit.prove_consistency(acme, from, size).await?;
            assert!(proof.holds(&root(from).await?, &whole), "from {from} to {size}");
        }
    }
    assert!(audit.prove_inclusion(acme, 700, 700).await.is_err());
    assert!(audit.prove_inclusion(acme, 1, 701).await.is_err());
    assert!(audit.prove_consistency(acme, 1, 701).await.is_err());
    test.store.close().await;
    Ok(())
}

async fn a_restart_continues_the_log(database: TestDatabase) -> Result<()> {
    let test = TestLog::create(database, 10).await?;
    let before = test.audit.read_head(&test.acme).await?;
    test.store.close().await;
    let store = test.database.store().await?;
    let journal = TestJournal::start(&store, options("b"))?;
    journal.record_many(&test.acme, 500).await?;
    journal.stop().await?;
    let audit = store.audit();
    assert_eq!(audit.read_head(&test.acme).await?.size, 510);
    let proof = audit.prove_consistency(&test.acme, 10, 510).await?;
    let root = audit.read_head(&test.acme).await?.range.root().context("the range begins at 0")?;
    assert!(proof.holds(&before.range.root().context("the range begins at 0")?, &root));
    let verified = verify(&audit, &test.acme, &[]).await?.expect("no finding");
    assert_eq!((verified.records, verified.root), (510, root));
    store.close().await;
    Ok(())
}

async fn checkpoints_are_stored_once(database: TestDatabase) -> Result<()> {
    let test = TestLog::create(database, 10).await?;
    let (audit, acme) = (&test.audit, &test.acme);
    let first = signed(audit, acme).await?;
    // Databases store microseconds.
    let time = Timestamp::from_microsecond(first.time.as_microsecond())?;
    let first = StoredCheckpoint { time, ..first };
    audit.insert_checkpoint(acme, &first).await?;
    audit.insert_checkpoint(acme, &first).await?;
    test.more(acme, 10).await?;
    let second = signed(audit, acme).await?;
    audit.insert_checkpoint(acme, &second).await?;
    let kept = audit.list_checkpoints(acme, 10).await?;
    assert_eq!(kept.iter().map(|checkpoint| checkpoint.size).collect::<Vec<_>>(), [20, 10]);
    assert_eq!(kept[1], first);
    assert_eq!(audit.list_checkpoints(acme, 1).await?.len(), 1);
    let verified = verify(audit, acme, &[]).await?.expect("no finding");
    assert_eq!((verified.checkpoints, verified.signed), (2, 20));
    test.store.close().await;
    Ok(())
}

async fn after_the_retention_the_rest_verifies(database: TestDatabase) -> Result<()> {
    let test = TestLog::create(database, 1000).await?;
    let (audit, acme) = (&test.audit, &test.acme);
    let note = signed(audit, acme).await?;
    let before = audit.read_head(acme).await?;
    let records = test.all().await?;
    let time = records[999 - 600].record.time;
    let older = audit.find_first_since(acme, time).await?;
    let expected = records.iter().rev().take_while(|one| one.record.time < time).count();
    assert_eq!(older, u64::try_from(expected)?);

    let first = audit.drop_before(acme, 600).await?;
    assert_eq!(first, 512, "complete blocks");
    let head = audit.read_head(acme).await?;
    assert_eq!((head.first, head.size, &head.range), (512, 1000, &before.range));
    assert_eq!(test.all().await?.len(), 488);
    assert_eq!(audit.drop_before(acme, 600).await?, 512, "unchanged");
    test.more(acme, 100).await?;
    let verified = verify(audit, acme, &[note]).await?.expect("no finding");
    assert_eq!((verified.first, verified.records, verified.size), (512, 588, 1100));
    let proof = audit.prove_inclusion(acme, 700, 1000).await?;
    assert!(proof.holds(&records[299].hash, &before.range.root().context("the range begins at 0")?));
    audit.index_log(acme).await?;
    let named = Filter { name: Some("topic-7".to_owned()), ..Filter::default() };
    let found = audit.list_forward(acme, &named, 0, u64::MAX, 1000).await?.records;
    let remaining = records.iter().rev().skip(512).filter(|one| matches(&named, &one.record));
    assert_eq!(
        found.iter().take_while(|one| one.record.seq < 1000).collect::<Vec<_>>(),
        remaining.collect::<Vec<_>>()
    );
    let dropped = audit.drop_before(acme, 5000).await?;
    assert_eq!(dropped, 1024, "later records are not affected");
    assert_eq!(
        audit
            .list_forward(acme, &named, 0, u64::MAX, 1000)
            .await?
            .records
            .first()
            .map(|one| one.record.seq / 1024),
        Some(1)
    );
    verify(audit, acme, &[]).await?.expect("no finding");
    test.store.close().await;
    Ok(())
}
