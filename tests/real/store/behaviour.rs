//! What is written is found, by whoever may ask, and can be proved.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result};
use eventcenter::domain::audit::merkle::Hash;
use eventcenter::domain::audit::{Filter, LogName, Outcome, Record, canonical_json};
use eventcenter::store::{Audit, Store, StoredCheckpoint, StoredRecord};
use jiff::Timestamp;

use super::keeper::{Keeper, all, event, in_time, log, options, signed, verify};
use super::on_both;
use super::place::Place;

on_both! {
    records_are_read_as_they_were_written,
    a_filter_finds_exactly_what_passes_it,
    the_index_follows_the_log,
    what_was_started_is_open_until_it_is_completed,
    no_question_about_one_log_is_answered_with_another,
    what_follows_is_read_from_the_front,
    every_record_and_every_growth_can_be_proved,
    a_restart_continues_the_log,
    checkpoints_are_kept_once,
    old_records_are_dropped_and_the_rest_verifies,
}

struct Scene {
    place: Place,
    store: Store,
    audit: Audit,
    acme: LogName,
}

impl Scene {
    /// A log of so many records.
    async fn set(place: Place, count: usize) -> Result<Self> {
        let store = place.store().await?;
        let scene = Self { place, audit: store.audit(), acme: log("acme"), store };
        scene.more(&scene.acme, count).await?;
        Ok(scene)
    }

    async fn more(&self, log: &LogName, count: usize) -> Result<Vec<uuid::Uuid>> {
        let keeper = Keeper::start(&self.store, options("a"))?;
        let ids = keeper.record_many(log, count).await?;
        keeper.end().await?;
        Ok(ids)
    }

    /// All records, the newest first.
    async fn all(&self) -> Result<Vec<StoredRecord>> {
        all(&self.audit, &self.acme, &Filter::default(), 1000).await
    }
}

async fn records_are_read_as_they_were_written(place: Place) -> Result<()> {
    let scene = Scene::set(place, 0).await?;
    assert_eq!(scene.audit.list_logs().await?, []);
    let empty = scene.audit.read_head(&scene.acme).await?;
    assert_eq!((empty.size, empty.first, empty.range.root()), (0, 0, Some(Hash::empty())));
    assert_eq!(scene.audit.list_backward(&scene.acme, &Filter::default(), None, 10).await?.next, None);

    let ids = scene.more(&scene.acme, 300).await?;
    let records = scene.all().await?;
    let read: Vec<_> = records.iter().rev().map(|stored| stored.record.id).collect();
    assert_eq!(read.iter().collect::<BTreeSet<_>>(), ids.iter().collect());
    for (seq, stored) in records.iter().rev().enumerate() {
        let record = &stored.record;
        assert_eq!(record.seq, u64::try_from(seq)?);
        assert_eq!(stored.body.as_bytes(), canonical_json(record), "what is kept is the canonical form");
        assert_eq!(stored.hash, Hash::leaf(stored.body.as_bytes()));
        let number: usize = record
            .request_id
            .as_deref()
            .and_then(|id| id.strip_prefix("request-"))
            .context("ours")?
            .parse()?;
        let told =
            event(&scene.acme, number).into_draft(record.id, record.time, "webhook", "a").at_seq(record.seq);
        assert_eq!(*record, told);
        assert_eq!(scene.audit.get_record(&scene.acme, record.id).await?.as_ref(), Some(stored));
    }
    assert_eq!(scene.audit.list_logs().await?, std::slice::from_ref(&scene.acme));
    assert_eq!(scene.audit.read_head(&scene.acme).await?.size, 300);
    scene.store.close().await;
    Ok(())
}

/// Whether a record passes, as simply as it can be said.
fn passes(filter: &Filter, record: &Record) -> bool {
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

async fn a_filter_finds_exactly_what_passes_it(place: Place) -> Result<()> {
    let scene = Scene::set(place, 2400).await?;
    let records = scene.all().await?;
    let (early, late) = (records[1600].record.time, records[500].record.time);
    let some = |text: &str| Some(text.to_owned());
    let none = Filter::default;
    let filters = [
        none(),
        Filter { actor: some("carol"), ..none() },
        Filter { actor: some("caro"), ..none() },
        Filter { action: some("Delete"), ..none() },
        Filter { kind: some("EventSubscription"), ..none() },
        Filter { kind: some("EventTopic"), ..none() },
        Filter { namespace: some("payments"), ..none() },
        Filter { name: some("topic-7"), ..none() },
        Filter { kind: some("EventTopic"), namespace: some("orders"), name: some("topic-7"), ..none() },
        Filter { outcome: Some(Outcome::Denied), ..none() },
        Filter { outcome: Some(Outcome::Allowed), actor: some("bob@example.com"), ..none() },
        Filter { outcome: Some(Outcome::Failed), ..none() },
        Filter { since: Some(early), ..none() },
        Filter { until: Some(late), ..none() },
        Filter { since: Some(early), until: Some(late), actor: some("carol"), ..none() },
        Filter { until: Some(early), outcome: Some(Outcome::Denied), namespace: some("orders"), ..none() },
        Filter { since: Some(late), until: Some(early), ..none() },
        Filter { text: some("CAROL"), ..none() },
        Filter { text: some("number 12"), ..none() },
        Filter { text: some("%"), ..none() },
        Filter { text: some("0%_"), ..none() },
        Filter { text: some("100%_SURE“"), name: some("topic-3"), ..none() },
        Filter { text: some("' OR 1=1 --"), ..none() },
        Filter { actor: some("' OR '1'='1"), ..none() },
    ];
    // Whether all of it is in the index, some of it, or nothing.
    for (state, statements) in [
        (2048, None),
        (1024, Some("DELETE FROM audit_posting WHERE segment > 0; UPDATE audit_indexed SET segments = 1")),
        (0, Some("DELETE FROM audit_posting; DELETE FROM audit_indexed")),
    ] {
        match statements {
            Some(statements) => scene.place.sql(statements).await?,
            None => scene.audit.index_log(&scene.acme).await?,
        }
        assert_eq!(scene.audit.read_indexed_end(&scene.acme).await?, state);
        for filter in &filters {
            let expected: Vec<_> = records.iter().filter(|stored| passes(filter, &stored.record)).collect();
            for limit in [41, 1000] {
                let found = all(&scene.audit, &scene.acme, filter, limit).await?;
                assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{filter:?} by {limit} with {state}");
            }
        }
    }
    assert!(
        filters.iter().filter(|filter| records.iter().any(|one| passes(filter, &one.record))).count() > 15
    );
    scene.store.close().await;
    Ok(())
}

/// Also of records that were written before there was an index, or while whoever indexes was away.
async fn the_index_follows_the_log(place: Place) -> Result<()> {
    let scene = Scene::set(place, 1100).await?;
    scene.place.sql("DELETE FROM audit_posting; DELETE FROM audit_indexed").await?;
    let keeper = Keeper::start(&scene.store, options("a"))?;
    let follows = async |until: u64| {
        while scene.audit.read_indexed_end(&scene.acme).await? < until {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        anyhow::Ok(())
    };
    in_time("what was there is indexed", follows(1024)).await?;
    keeper.record_many(&scene.acme, 1000).await?;
    in_time("what has come is indexed", follows(2048)).await?;
    keeper.end().await?;
    scene.store.close().await;
    Ok(())
}

async fn what_was_started_is_open_until_it_is_completed(place: Place) -> Result<()> {
    let scene = Scene::set(place, 20).await?;
    let keeper = Keeper::start(&scene.store, options("a"))?;
    let mut start = event(&scene.acme, 1);
    start.outcome = Outcome::Started;
    let done = keeper.record(start.clone()).await?;
    let left = keeper.record(start.clone()).await?;
    let end = keeper.record(start.completion(done, Outcome::Succeeded, None)).await?;
    let open = Filter { open: true, ..Filter::default() };
    let found = all(&scene.audit, &scene.acme, &open, 10).await?;
    assert_eq!(found.iter().map(|stored| stored.record.id).collect::<Vec<_>>(), [left]);
    let completion = |id| scene.audit.get_completion(&scene.acme, id);
    assert_eq!(completion(done).await?.map(|stored| stored.record.id), Some(end));
    assert_eq!(completion(left).await?, None);
    keeper.end().await?;
    scene.store.close().await;
    Ok(())
}

async fn no_question_about_one_log_is_answered_with_another(place: Place) -> Result<()> {
    let scene = Scene::set(place, 300).await?;
    let globex = log("globex");
    let theirs = scene.more(&globex, 310).await?;
    let (audit, acme) = (&scene.audit, &scene.acme);
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
    scene.store.close().await;
    Ok(())
}

async fn what_follows_is_read_from_the_front(place: Place) -> Result<()> {
    let scene = Scene::set(place, 300).await?;
    for filter in [Filter::default(), Filter { name: Some("topic-7".into()), ..Filter::default() }] {
        let expected: Vec<_> = scene.all().await?.into_iter().rev().collect();
        let expected: Vec<_> = expected.into_iter().filter(|one| passes(&filter, &one.record)).collect();
        for (from, until, limit) in [(0, 300, 1000), (0, 300, 7), (17, 250, 50), (300, 400, 5)] {
            let (mut found, mut at) = (Vec::new(), Some(from));
            while let Some(from) = at {
                let page = scene.audit.list_forward(&scene.acme, &filter, from, until, limit).await?;
                assert!(page.records.len() <= limit);
                assert!(page.next.is_none_or(|next| next > from), "it goes on");
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
    scene.store.close().await;
    Ok(())
}

async fn every_record_and_every_growth_can_be_proved(place: Place) -> Result<()> {
    let scene = Scene::set(place, 700).await?;
    let (audit, acme) = (&scene.audit, &scene.acme);
    let records = scene.all().await?;
    let leaf = |seq: u64| records[699 - usize::try_from(seq).unwrap_or_default()].hash;
    let root =
        async |size| anyhow::Ok(audit.read_range(acme, 0, size).await?.root().context("it begins at 0")?);
    assert_eq!(root(700).await?, audit.read_head(acme).await?.range.root().context("it begins at 0")?);
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
    scene.store.close().await;
    Ok(())
}

async fn a_restart_continues_the_log(place: Place) -> Result<()> {
    let scene = Scene::set(place, 10).await?;
    let before = scene.audit.read_head(&scene.acme).await?;
    scene.store.close().await;
    let store = scene.place.store().await?;
    let keeper = Keeper::start(&store, options("b"))?;
    keeper.record_many(&scene.acme, 500).await?;
    keeper.end().await?;
    let audit = store.audit();
    assert_eq!(audit.read_head(&scene.acme).await?.size, 510);
    let proof = audit.prove_consistency(&scene.acme, 10, 510).await?;
    let root = audit.read_head(&scene.acme).await?.range.root().context("it begins at 0")?;
    assert!(proof.holds(&before.range.root().context("it begins at 0")?, &root));
    let verified = verify(&audit, &scene.acme, &[]).await?.expect("nothing is found");
    assert_eq!((verified.records, verified.root), (510, root));
    store.close().await;
    Ok(())
}

async fn checkpoints_are_kept_once(place: Place) -> Result<()> {
    let scene = Scene::set(place, 10).await?;
    let (audit, acme) = (&scene.audit, &scene.acme);
    let first = signed(audit, acme).await?;
    // Databases keep microseconds.
    let time = Timestamp::from_microsecond(first.time.as_microsecond())?;
    let first = StoredCheckpoint { time, ..first };
    audit.insert_checkpoint(acme, &first).await?;
    audit.insert_checkpoint(acme, &first).await?;
    scene.more(acme, 10).await?;
    let second = signed(audit, acme).await?;
    audit.insert_checkpoint(acme, &second).await?;
    let kept = audit.list_checkpoints(acme, 10).await?;
    assert_eq!(kept.iter().map(|noted| noted.size).collect::<Vec<_>>(), [20, 10]);
    assert_eq!(kept[1], first);
    assert_eq!(audit.list_checkpoints(acme, 1).await?.len(), 1);
    let verified = verify(audit, acme, &[]).await?.expect("nothing is found");
    assert_eq!((verified.checkpoints, verified.signed), (2, 20));
    scene.store.close().await;
    Ok(())
}

async fn old_records_are_dropped_and_the_rest_verifies(place: Place) -> Result<()> {
    let scene = Scene::set(place, 1000).await?;
    let (audit, acme) = (&scene.audit, &scene.acme);
    let note = signed(audit, acme).await?;
    let before = audit.read_head(acme).await?;
    let records = scene.all().await?;
    let time = records[999 - 600].record.time;
    let older = audit.find_first_since(acme, time).await?;
    let expected = records.iter().rev().take_while(|one| one.record.time < time).count();
    assert_eq!(older, u64::try_from(expected)?);

    let first = audit.drop_before(acme, 600).await?;
    assert_eq!(first, 512, "whole nodes");
    let head = audit.read_head(acme).await?;
    assert_eq!((head.first, head.size, &head.range), (512, 1000, &before.range));
    assert_eq!(scene.all().await?.len(), 488);
    assert_eq!(audit.drop_before(acme, 600).await?, 512, "once more changes nothing");
    scene.more(acme, 100).await?;
    let verified = verify(audit, acme, &[note]).await?.expect("nothing is found");
    assert_eq!((verified.first, verified.records, verified.size), (512, 588, 1100));
    let proof = audit.prove_inclusion(acme, 700, 1000).await?;
    assert!(proof.holds(&records[299].hash, &before.range.root().context("it begins at 0")?));
    audit.index_log(acme).await?;
    let named = Filter { name: Some("topic-7".to_owned()), ..Filter::default() };
    let found = audit.list_forward(acme, &named, 0, u64::MAX, 1000).await?.records;
    let remaining = records.iter().rev().skip(512).filter(|one| passes(&named, &one.record));
    assert_eq!(
        found.iter().take_while(|one| one.record.seq < 1000).collect::<Vec<_>>(),
        remaining.collect::<Vec<_>>()
    );
    let dropped = audit.drop_before(acme, 5000).await?;
    assert_eq!(dropped, 1024, "what is not there yet is not dropped");
    assert_eq!(
        audit
            .list_forward(acme, &named, 0, u64::MAX, 1000)
            .await?
            .records
            .first()
            .map(|one| one.record.seq / 1024),
        Some(1)
    );
    verify(audit, acme, &[]).await?.expect("nothing is found");
    scene.store.close().await;
    Ok(())
}
