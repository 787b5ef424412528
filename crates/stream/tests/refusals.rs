//! What a learner reads when the SQL is wrong: place, sentence, and what to write instead.

mod common;

use common::{RIDES, plan};

/// The error of `sql` after the table of rides, as `line:column message | help`; lines count from that table's end.
fn refusal(sql: &str) -> String {
    let text = format!("{}{sql}", RIDES.replace('\n', " "));
    let error = match plan(&text) {
        Err(error) => error,
        Ok(plan) => panic!("it was taken: {plan:?}"),
    };
    let place = error.place.map_or("no place".to_owned(), |place| {
        let before = RIDES.chars().count() as u64;
        let column = if place.line == 1 {
            place.column.saturating_sub(before)
        } else {
            place.column
        };
        format!("{}:{column}", place.line)
    });
    format!("{place} {} | {}", error.message, error.help.unwrap_or_default())
}

#[test]
fn every_refusal_names_the_place_and_the_way_out() {
    let mut wrong = Vec::new();
    let window = "FROM TABLE(TUMBLE(TABLE rides, DESCRIPTOR(ts), INTERVAL '1' MINUTE))";
    for (sql, expected) in [
        (
            "SELECT drivr FROM rides",
            "1:8 there is no column drivr in rides | did you mean driver?",
        ),
        (
            "SELECT driver\nFROM ridse",
            "2:6 there is no table ridse | did you mean rides?",
        ),
        (
            "SELECT UPPR(driver) FROM rides",
            "1:8 there is no function UPPR | did you mean UPPER?",
        ),
        (
            "SELECT driver + 1 FROM rides",
            "1:8 + does not take STRING and INT | CAST the text to a number, or join texts with ||",
        ),
        (
            "SELECT SUM(driver) FROM rides",
            "1:8 SUM does not take STRING | CAST the text to a number",
        ),
        (
            "SELECT driver, COUNT(*) FROM rides GROUP BY minutes",
            "1:8 driver is neither in GROUP BY nor inside an aggregate | add driver to GROUP BY, or write MAX(driver)",
        ),
        (
            "SELECT driver FROM rides WHERE minutes",
            "1:32 WHERE needs a condition, and this is INT | ",
        ),
        (
            "SELECT driver FROM rides WHERE driver = 1",
            "1:32 STRING can't be compared with INT | CAST one of them to the type of the other",
        ),
        (
            "SELECT driver FROM rides WHERE driver = \"a\"",
            "1:41 \"a\" is neither a text nor a name | write 'a' for a text, `a` for a name",
        ),
        (
            "SELECT a.driver FROM rides a JOIN rides b ON a.ride = b.ride",
            "a join is not supported by the lab's engine | read one table; joins work on a real Flink",
        ),
        (
            "SELECT driver FROM rides ORDER BY driver",
            "ORDER BY is not supported by the lab's engine | an endless stream has no last row to sort; window results come in the order of their windows",
        ),
        (
            &format!("SELECT COUNT(*) {window} GROUP BY window_start"),
            "a window is grouped by both its bounds | write GROUP BY window_start, window_end",
        ),
        (
            "SELECT COUNT(*) FROM TABLE(TUMBLE(TABLE rides, DESCRIPTOR(minutes), INTERVAL '1' MINUTE)) GROUP BY window_start, window_end",
            "1:59 minutes is no event time of rides: no watermark is declared for it | add WATERMARK FOR minutes AS minutes - INTERVAL '5' SECOND to CREATE TABLE rides",
        ),
        (
            "SELECT COUNT(*) FROM TABLE(TUMBLE(TABLE rides, DESCRIPTOR(ts))) GROUP BY window_start, window_end",
            "1:28 TUMBLE is not written like this | TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE)",
        ),
        (
            "SELECT COUNT(*) FROM TABLE(TUMBLE(TABLE rides, DESCRIPTOR(ts), INTERVAL '1' MINUT)) GROUP BY window_start, window_end",
            "1:77 INTERVAL requires a unit after the literal value | ",
        ),
        (
            "SELECT COUNT(*) FROM TABLE(TUMBL(TABLE rides, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY window_start, window_end",
            "1:28 there is no window function TUMBL | did you mean TUMBLE?",
        ),
        (
            "SELECT driver FROM rides SELECT",
            "the statement should end before 'SELECT' | put a ; between two statements",
        ),
        (
            "SELEC driver FROM rides",
            "1:1 no statement starts with SELEC | did you mean SELECT?",
        ),
        (
            "SELECT 'a FROM rides",
            "Unterminated string literal | a string ends with ', a name in backquotes with `",
        ),
        (
            "SET 'table.local-time-zone' = 'Mars/Olympus'; SELECT 1 FROM rides",
            "there is no time zone 'Mars/Olympus' | write 'UTC' or 'Europe/Berlin'",
        ),
        (
            "CREATE TABLE o (n INT) WITH ('connector' = 'kafka', 'topic' = 'o', 'format' = 'json', 'sink.delivery-guarantee' = 'exactly-once')",
            "the delivery guarantee exactly-once is not supported by the lab's engine | write 'at-least-once': after a crash some rows may come twice",
        ),
        (
            "CREATE TABLE o (n INT) WITH ('connector' = 'kafka', 'topic' = 'o', 'format' = 'json', 'scan.startup.mod' = 'x')",
            "there is no option 'scan.startup.mod' | did you mean scan.startup.mode?",
        ),
        (
            "CREATE TABLE o (n INT) WITH ('connector' = 'kafka', 'format' = 'json')",
            "the option 'topic' is missing | add 'topic' = '…' to WITH",
        ),
        (
            "CREATE TABLE o (n INT) WITH ('connector' = 'kafa')",
            "the connector 'kafa' is not supported by the lab's engine | did you mean kafka?",
        ),
        (
            "CREATE TABLE o (n STRNG) WITH ('connector' = 'print')",
            "the type STRNG is not supported by the lab's engine | did you mean STRING?",
        ),
        (
            "CREATE TABLE o (n BIGINT, WATERMARK FOR n AS n) WITH ('connector' = 'print')",
            "n can't be the event time, since it is BIGINT | add a column: ts AS TO_TIMESTAMP_LTZ(n, 3), and WATERMARK FOR ts",
        ),
        (
            "CREATE TABLE o (n INT) WITH ('connector' = 'kafka', 'topic' = 'o', 'format' = 'json'); INSERT INTO o SELECT COUNT(*) FROM rides",
            "o can't take this result: its rows change, and a topic of 'kafka' only grows | group by the windows of TUMBLE, so that each result is final; or write to 'connector' = 'print'",
        ),
        (
            "CREATE TABLE o (n INT) WITH ('connector' = 'print'); INSERT INTO o SELECT driver FROM rides",
            "the column n of o is INT, and the query gives STRING (driver) for it | write CAST(… AS INT), or change the column's type",
        ),
        (
            "CREATE TABLE o (n INT, m INT) WITH ('connector' = 'print'); INSERT INTO o SELECT minutes FROM rides",
            "o takes 2 columns (n, m), and the query gives 1 (minutes) | columns are matched by their place, not by their name",
        ),
    ] {
        let found = refusal(sql);
        if !found.ends_with(expected) || found.starts_with("no place") {
            wrong.push(format!("{sql}\n  found    {found}\n  expected {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
