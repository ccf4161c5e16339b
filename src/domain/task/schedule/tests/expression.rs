use expect_test::expect;

use crate::domain::task::schedule::CronExpression;

#[test]
fn expressions_of_kubernetes_are_valid() {
    for text in [
        "* * * * *",
        "*/15 * * * *",
        "? ? ? ? ?",
        "0 0 29 2 *",
        "30 2 * * MON-fri",
        "0 0 1,15 jan-mar/2 *",
        "5/10 * * * *",
        "*-7 * * * *",
        "*-x/2 * * * *",
        ", , , , ,",
        "1,,2 * * * *",
        "+5 * * * *",
        "007 * * * *",
        "*/99 * * * *",
        "\t* *\u{a0}* *\n* ",
        "@yearly",
        "@annually",
        "@monthly",
        "@weekly",
        "@daily",
        "@midnight",
        "@hourly",
        "@every 1h30m",
        "@every -5s",
        "@every 0",
        "0 0 * * FR\u{130}",
        "0-0/1 * * * *",
        "*/9223372036854775807 * * * *",
    ] {
        assert_eq!(CronExpression::parse(text).map(|expression| expression.to_string()), Ok(text.to_owned()));
    }
}

#[test]
fn errors_name_the_field_the_rule_and_an_example() {
    let texts = [
        "",
        " ",
        "* * * *",
        "* * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * 32 * *",
        "* * * 13 *",
        "* * * * 7",
        "* * * * sunday",
        "* * * foo *",
        "5-1 * * * *",
        "1-2-3 * * * *",
        "*/2/3 * * * *",
        "*/0 * * * *",
        "*/-1 * * * *",
        "*/x * * * *",
        "/5 * * * *",
        "-5 * * * *",
        "* * jan * *",
        "* * * * fri-mon",
        "99999999999999999999 * * * *",
        "TZ=UTC * * * * *",
        "CRON_TZ=Europe/Berlin @daily",
        "@every",
        "@every 1d",
        "@every ",
        "@reboot",
        "@hourly ",
        " @hourly",
        "5,60 * * * *",
        "L * * * *",
        "* * * * 5#3",
    ];
    let errors: String = texts
        .iter()
        .map(|text| format!("{text:?}\n  {}\n", CronExpression::parse(text).expect_err(text)))
        .collect();
    expect![[r#"
        ""
          the expression is empty: write five fields, such as "30 2 * * *", or a descriptor such as "@daily"
        " "
          the number of fields is 0, not 5: write minute, hour, day of month, month and day of week, without seconds and years, such as "30 2 * * *"
        "* * * *"
          the number of fields is 4, not 5: write minute, hour, day of month, month and day of week, without seconds and years, such as "30 2 * * *"
        "* * * * * *"
          the number of fields is 6, not 5: write minute, hour, day of month, month and day of week, without seconds and years, such as "30 2 * * *"
        "60 * * * *"
          minute "60": 60 is above the maximum 59: write minutes from 0 to 59, such as "*/15 * * * *"
        "* 24 * * *"
          hour "24": 24 is above the maximum 23: write hours from 0 to 23, such as "30 8-18 * * *"
        "* * 0 * *"
          day of month "0": 0 is below the minimum 1: write days from 1 to 31, such as "30 2 1,15 * *"
        "* * 32 * *"
          day of month "32": 32 is above the maximum 31: write days from 1 to 31, such as "30 2 1,15 * *"
        "* * * 13 *"
          month "13": 13 is above the maximum 12: write months from 1 to 12 or jan to dec, such as "30 2 1 */3 *"
        "* * * * 7"
          day of week "7": 7 is above the maximum 6: write days from 0 (Sunday) to 6 (Saturday) or sun to sat, such as "30 2 * * mon-fri"
        "* * * * sunday"
          day of week "sunday": "sunday" is neither a number nor a name of this field: write days from 0 (Sunday) to 6 (Saturday) or sun to sat, such as "30 2 * * mon-fri"
        "* * * foo *"
          month "foo": "foo" is neither a number nor a name of this field: write months from 1 to 12 or jan to dec, such as "30 2 1 */3 *"
        "5-1 * * * *"
          minute "5-1": a range does not begin (5) after its end (1): write minutes from 0 to 59, such as "*/15 * * * *"
        "1-2-3 * * * *"
          minute "1-2-3": a range has one hyphen: write minutes from 0 to 59, such as "*/15 * * * *"
        "*/2/3 * * * *"
          minute "*/2/3": a range has at most one step: write minutes from 0 to 59, such as "*/15 * * * *"
        "*/0 * * * *"
          minute "*/0": the step "0" is not a positive number: write minutes from 0 to 59, such as "*/15 * * * *"
        "*/-1 * * * *"
          minute "*/-1": the step "-1" is not a positive number: write minutes from 0 to 59, such as "*/15 * * * *"
        "*/x * * * *"
          minute "*/x": the step "x" is not a positive number: write minutes from 0 to 59, such as "*/15 * * * *"
        "/5 * * * *"
          minute "/5": "" is neither a number nor a name of this field: write minutes from 0 to 59, such as "*/15 * * * *"
        "-5 * * * *"
          minute "-5": "" is neither a number nor a name of this field: write minutes from 0 to 59, such as "*/15 * * * *"
        "* * jan * *"
          day of month "jan": "jan" is neither a number nor a name of this field: write days from 1 to 31, such as "30 2 1,15 * *"
        "* * * * fri-mon"
          day of week "fri-mon": a range does not begin (5) after its end (1): write days from 0 (Sunday) to 6 (Saturday) or sun to sat, such as "30 2 * * mon-fri"
        "99999999999999999999 * * * *"
          minute "99999999999999999999": "99999999999999999999" is neither a number nor a name of this field: write minutes from 0 to 59, such as "*/15 * * * *"
        "TZ=UTC * * * * *"
          the expression contains a time zone: set timeZone instead, and write only the fields, such as "30 2 * * *"
        "CRON_TZ=Europe/Berlin @daily"
          the expression contains a time zone: set timeZone instead, and write only the fields, such as "30 2 * * *"
        "@every"
          "@every" is not a descriptor: write @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly, or an interval such as "@every 1h30m"
        "@every 1d"
          the interval "1d" is not a duration: write numbers with the units h, m and s, such as "@every 1h30m"
        "@every "
          the interval "" is not a duration: write numbers with the units h, m and s, such as "@every 1h30m"
        "@reboot"
          "@reboot" is not a descriptor: write @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly, or an interval such as "@every 1h30m"
        "@hourly "
          "@hourly " is not a descriptor: write @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly, or an interval such as "@every 1h30m"
        " @hourly"
          the number of fields is 1, not 5: write minute, hour, day of month, month and day of week, without seconds and years, such as "30 2 * * *"
        "5,60 * * * *"
          minute "60": 60 is above the maximum 59: write minutes from 0 to 59, such as "*/15 * * * *"
        "L * * * *"
          minute "L": "L" is neither a number nor a name of this field: write minutes from 0 to 59, such as "*/15 * * * *"
        "* * * * 5#3"
          day of week "5#3": "5#3" is neither a number nor a name of this field: write days from 0 (Sunday) to 6 (Saturday) or sun to sat, such as "30 2 * * mon-fri"
    "#]].assert_eq(&errors);
}
