use serde_json::{Value, json};

use super::*;
use crate::place::Place;

const NOW: Millis = 1_753_000_000_000;

fn call(logs: &mut Logs, operation: &str, request: &Value) -> Result<Value, &'static str> {
    let place = Place {
        region: "us-east-1".to_owned(),
        account: "000000000000".to_owned(),
        port: 7411,
    };
    logs.apply(operation, request, &place, NOW)
        .map_err(|error| error.code)
}

/// One group with ten events, one a second, in two streams by turns.
fn filled() -> Logs {
    let mut logs = Logs::default();
    for number in 0..10 {
        let stream = if number % 2 == 0 { "even" } else { "odd" };
        logs.add(
            "/api",
            stream,
            NOW + number * 1000,
            &format!("line {number}"),
            NOW,
        );
    }
    logs
}

fn messages(answer: &Value) -> Vec<&str> {
    let events = answer["events"].as_array().unwrap();
    events
        .iter()
        .map(|event| event["message"].as_str().unwrap())
        .collect()
}

#[test]
fn reading_forward_ends_where_the_token_stays() {
    let mut logs = filled();
    let mut request =
        json!({"logGroupName": "/api", "logStreamName": "even", "startFromHead": true, "limit": 2});
    let mut seen = Vec::new();
    loop {
        let answer = call(&mut logs, "GetLogEvents", &request).unwrap();
        seen.extend(messages(&answer).into_iter().map(str::to_owned));
        if answer["nextForwardToken"] == request["nextToken"] {
            break;
        }
        request["nextToken"] = answer["nextForwardToken"].clone();
    }
    assert_eq!(seen, ["line 0", "line 2", "line 4", "line 6", "line 8"]);
    // A line that comes later is found from the same token.
    logs.add("/api", "even", NOW + 20_000, "late", NOW);
    let answer = call(&mut logs, "GetLogEvents", &request).unwrap();
    assert_eq!(messages(&answer), ["late"]);
}

#[test]
fn reading_starts_at_the_end_and_goes_back() {
    let mut logs = filled();
    let mut request = json!({"logGroupName": "/api", "logStreamName": "odd", "limit": 2});
    let last = call(&mut logs, "GetLogEvents", &request).unwrap();
    assert_eq!(messages(&last), ["line 7", "line 9"]);
    request["nextToken"] = last["nextBackwardToken"].clone();
    let before = call(&mut logs, "GetLogEvents", &request).unwrap();
    assert_eq!(messages(&before), ["line 3", "line 5"]);
    request["nextToken"] = before["nextForwardToken"].clone();
    let again = call(&mut logs, "GetLogEvents", &request).unwrap();
    assert_eq!(messages(&again), ["line 7", "line 9"]);
    request["nextToken"] = json!("x");
    assert_eq!(
        call(&mut logs, "GetLogEvents", &request),
        Err("InvalidParameterException")
    );
}

#[test]
fn filtering_joins_streams_in_time_and_pages() {
    let mut logs = filled();
    let cases = [
        (
            json!({}),
            vec![
                "line 0", "line 1", "line 2", "line 3", "line 4", "line 5", "line 6", "line 7",
                "line 8", "line 9",
            ],
        ),
        (json!({"startTime": NOW + 8000}), vec!["line 8", "line 9"]),
        (json!({"endTime": NOW + 2000}), vec!["line 0", "line 1"]),
        (json!({"filterPattern": "?3 ?4"}), vec!["line 3", "line 4"]),
        (
            json!({"logStreamNames": ["odd"], "endTime": NOW + 4000}),
            vec!["line 1", "line 3"],
        ),
        (
            json!({"logStreamNamePrefix": "ev", "startTime": NOW + 6000}),
            vec!["line 6", "line 8"],
        ),
    ];
    for (extra, expected) in cases {
        let mut request = json!({"logGroupIdentifier": "arn:aws:logs:us-east-1:000000000000:log-group:/api:*", "limit": 3});
        for (name, value) in extra.as_object().unwrap() {
            request[name] = value.clone();
        }
        let mut seen = Vec::new();
        loop {
            let answer = call(&mut logs, "FilterLogEvents", &request).unwrap();
            seen.extend(messages(&answer).into_iter().map(str::to_owned));
            match answer.get("nextToken") {
                Some(token) => request["nextToken"] = token.clone(),
                None => break,
            }
        }
        assert_eq!(seen, expected, "{extra}");
    }
    let cases = [
        (
            json!({"filterPattern": "[a, b]"}),
            "InvalidParameterException",
        ),
        (
            json!({"logStreamNames": ["odd"], "logStreamNamePrefix": "o"}),
            "InvalidParameterException",
        ),
        (
            json!({"logStreamNames": ["odd", "none"]}),
            "ResourceNotFoundException",
        ),
    ];
    for (mut request, code) in cases {
        request["logGroupName"] = "/api".into();
        let answer = call(&mut logs, "FilterLogEvents", &request);
        assert_eq!(answer, Err(code), "{request}");
    }
}

#[test]
fn groups_and_streams_are_made_listed_and_deleted() {
    let mut logs = Logs::default();
    let group = json!({"logGroupName": "/api"});
    let stream = json!({"logGroupName": "/api", "logStreamName": "s"});
    assert_eq!(
        call(&mut logs, "CreateLogStream", &stream),
        Err("ResourceNotFoundException")
    );
    call(&mut logs, "CreateLogGroup", &group).unwrap();
    assert_eq!(
        call(&mut logs, "CreateLogGroup", &group),
        Err("ResourceAlreadyExistsException")
    );
    call(&mut logs, "CreateLogStream", &stream).unwrap();
    assert_eq!(
        call(&mut logs, "CreateLogStream", &stream),
        Err("ResourceAlreadyExistsException")
    );
    let put =
        |events: Value| json!({"logGroupName": "/api", "logStreamName": "s", "logEvents": events});
    let event = |at: u64| json!({"timestamp": at, "message": "m"});
    call(
        &mut logs,
        "PutLogEvents",
        &put(json!([event(NOW - 1), event(NOW)])),
    )
    .unwrap();
    assert_eq!(
        call(
            &mut logs,
            "PutLogEvents",
            &put(json!([event(NOW), event(NOW - 1)]))
        ),
        Err("InvalidParameterException")
    );
    let groups = call(
        &mut logs,
        "DescribeLogGroups",
        &json!({"logGroupNamePrefix": "/a"}),
    )
    .unwrap();
    assert_eq!(
        groups["logGroups"][0]["arn"],
        "arn:aws:logs:us-east-1:000000000000:log-group:/api:*"
    );
    let streams = call(&mut logs, "DescribeLogStreams", &group).unwrap();
    assert_eq!(streams["logStreams"][0]["lastEventTimestamp"], NOW);
    call(&mut logs, "DeleteLogStream", &stream).unwrap();
    assert_eq!(
        call(&mut logs, "GetLogEvents", &stream),
        Err("ResourceNotFoundException")
    );
    call(&mut logs, "DeleteLogGroup", &group).unwrap();
    assert_eq!(logs.totals(), (0, 0));
}

#[test]
fn a_full_stream_forgets_its_oldest_events() {
    let mut logs = Logs::with_limits(Limits {
        events: 3,
        bytes: 20,
        streams: 2,
    });
    for number in 0..5 {
        logs.add("/api", "s", number, "12345", number);
    }
    let get = json!({"logGroupName": "/api", "logStreamName": "s"});
    assert_eq!(
        call(&mut logs, "GetLogEvents", &get).unwrap()["events"][0]["timestamp"],
        2
    );
    logs.add("/api", "s", 9, "123456789 123456789", 9);
    assert_eq!(
        call(&mut logs, "GetLogEvents", &get).unwrap()["events"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    logs.add("/api", "t", 10, "x", 10);
    logs.add("/api", "u", 11, "x", 11);
    assert_eq!(
        call(&mut logs, "GetLogEvents", &get),
        Err("ResourceNotFoundException")
    );
}

#[test]
fn a_replayed_journal_is_the_same_state() {
    let mut logs = filled();
    call(
        &mut logs,
        "PutRetentionPolicy",
        &json!({"logGroupName": "/api", "retentionInDays": 7}),
    )
    .unwrap();
    call(
        &mut logs,
        "DeleteLogStream",
        &json!({"logGroupName": "/api", "logStreamName": "odd"}),
    )
    .unwrap();
    let journal = logs.take_pending();
    assert!(logs.take_pending().is_empty());
    for records in [journal, logs.records()] {
        let mut read = Logs::default();
        for record in records {
            let line = serde_json::to_string(&record).unwrap();
            read.replay(serde_json::from_str(&line).unwrap());
        }
        assert_eq!(read.records(), logs.records());
    }
}

#[test]
fn what_is_too_old_or_too_new_is_left_out_and_told() {
    const DAY: Millis = 24 * 60 * 60 * 1000;
    let mut logs = Logs::default();
    call(
        &mut logs,
        "CreateLogGroup",
        &json!({"logGroupName": "/api"}),
    )
    .unwrap();
    let stream = json!({"logGroupName": "/api", "logStreamName": "s"});
    call(&mut logs, "CreateLogStream", &stream).unwrap();
    let put = |logs: &mut Logs, times: &[Millis]| {
        let events: Vec<Value> = times
            .iter()
            .map(|at| json!({"timestamp": at, "message": "m"}))
            .collect();
        let request = json!({"logGroupName": "/api", "logStreamName": "s", "logEvents": events});
        let answer = call(logs, "PutLogEvents", &request)?;
        Ok(answer.get("rejectedLogEventsInfo").cloned())
    };
    assert_eq!(put(&mut logs, &[NOW]), Ok(None));
    assert_eq!(
        put(
            &mut logs,
            &[NOW - 14 * DAY - 2, NOW - 14 * DAY - 1, NOW - 14 * DAY]
        ),
        Ok(Some(json!({"tooOldLogEventEndIndex": 2})))
    );
    assert_eq!(
        put(&mut logs, &[NOW, NOW + DAY / 12, NOW + DAY / 12 + 1]),
        Ok(Some(json!({"tooNewLogEventStartIndex": 2})))
    );
    assert_eq!(
        put(&mut logs, &[NOW - DAY - 1, NOW]),
        Err("InvalidParameterException")
    );
    assert_eq!(logs.totals(), (1, 4));
    let keep = json!({"logGroupName": "/api", "retentionInDays": 1});
    call(&mut logs, "PutRetentionPolicy", &keep).unwrap();
    assert_eq!(
        put(&mut logs, &[NOW - DAY - 1, NOW - 1]),
        Ok(Some(json!({"expiredLogEventEndIndex": 1})))
    );
}

#[test]
fn a_group_keeps_its_tags_and_one_of_the_retentions_that_there_are() {
    let mut logs = Logs::default();
    let create = json!({"logGroupName": "/api", "tags": {"a": "b"}});
    call(&mut logs, "CreateLogGroup", &create).unwrap();
    for (days, expected) in [
        (15, Err("InvalidParameterException")),
        (0, Err("InvalidParameterException")),
        (14, Ok(())),
    ] {
        let keep = json!({"logGroupName": "/api", "retentionInDays": days});
        assert_eq!(
            call(&mut logs, "PutRetentionPolicy", &keep).map(drop),
            expected,
            "{days}"
        );
    }
    let arn = "arn:aws:logs:us-east-1:000000000000:log-group:/api";
    let tag = json!({"resourceArn": arn, "tags": {"c": "d"}});
    call(&mut logs, "TagResource", &tag).unwrap();
    let untag = json!({"resourceArn": format!("{arn}:*"), "tagKeys": ["a"]});
    call(&mut logs, "UntagResource", &untag).unwrap();
    let mut read = Logs::default();
    for record in logs.take_pending() {
        read.replay(record);
    }
    for mut logs in [logs, read] {
        let listed = call(
            &mut logs,
            "ListTagsForResource",
            &json!({"resourceArn": arn}),
        )
        .unwrap();
        assert_eq!(listed, json!({"tags": {"c": "d"}}));
        let described = |logs: &mut Logs| {
            call(logs, "DescribeLogGroups", &json!({})).unwrap()["logGroups"][0].clone()
        };
        assert_eq!(described(&mut logs)["retentionInDays"], 14);
        call(
            &mut logs,
            "DeleteRetentionPolicy",
            &json!({"logGroupName": "/api"}),
        )
        .unwrap();
        assert!(described(&mut logs).get("retentionInDays").is_none());
        let listed = call(
            &mut logs,
            "ListTagsForResource",
            &json!({"resourceArn": arn}),
        )
        .unwrap();
        assert_eq!(listed, json!({"tags": {"c": "d"}}));
    }
}
