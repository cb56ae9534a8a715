//! What a service finds before it is deployed.

use local_cloud::client::Provision;
use local_cloud::daemon::{ProvisionPostgres, ProvisionTargetGroup};
use serde_json::json;

use super::Test;
use super::support::Cloud;

pub const TESTS: &[Test] = &[
    ("provisioning::twice_is_once", twice_is_once),
    (
        "provisioning::a_taken_listener_is_named",
        a_taken_listener_is_named,
    ),
];

fn wanted() -> Provision {
    Provision {
        cluster: "dev".to_owned(),
        target_group: Some(ProvisionTargetGroup {
            name: "api".to_owned(),
            listen_port: 0,
            health_check_path: "/health".to_owned(),
        }),
        postgres: Some(ProvisionPostgres {
            name: "main".to_owned(),
            database: "api".to_owned(),
            parameter: "/api/database-url".to_owned(),
            fallback: Some("memory:".to_owned()),
        }),
        log_groups: vec!["/ecs/api".to_owned()],
    }
}

fn twice_is_once() {
    let mut cloud = Cloud::start();
    let provision = |cloud: &Cloud| {
        cloud
            .runtime
            .block_on(cloud.instance.provision(&wanted()))
            .unwrap()
    };
    let parameter = |cloud: &Cloud| {
        let request = json!({"Name": "/api/database-url", "WithDecryption": true});
        cloud.call("AmazonSSM.GetParameter", &request).1["Parameter"].clone()
    };
    let first = provision(&cloud);
    let url = parameter(&cloud);
    assert_eq!(url["Type"], "SecureString");
    let said = first.postgres.clone().unwrap();
    if said.starts_with("running on port ") {
        assert!(
            url["Value"].as_str().unwrap().starts_with("postgres://"),
            "{said}"
        );
    } else {
        assert!(said.starts_with("absent: "), "{said}");
        assert_eq!(url["Value"], "memory:");
    }
    assert!(
        first
            .target_group_arn
            .as_deref()
            .unwrap()
            .contains(":targetgroup/api/")
    );
    assert_eq!(provision(&cloud), first);

    // The same listener, the same database, and nobody had to ask.
    cloud.restart();
    let status = cloud.runtime.block_on(cloud.instance.status()).unwrap();
    assert_eq!(Some(&status.target_groups[0].url), first.url.as_ref());
    assert_eq!(status.target_groups[0].problem, None);
    assert_eq!(status.postgres["/api/database-url"], said);
    assert_eq!(parameter(&cloud)["Version"], url["Version"]);
    assert_eq!(provision(&cloud), first);
    let (_, groups) = cloud.call("Logs_20140328.DescribeLogGroups", &json!({}));
    assert_eq!(groups["logGroups"][0]["logGroupName"], "/ecs/api");
}

fn a_taken_listener_is_named() {
    let cloud = Cloud::start();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut wanted = wanted();
    wanted.postgres = None;
    wanted.target_group.as_mut().unwrap().listen_port = port;
    let refused = cloud
        .runtime
        .block_on(cloud.instance.provision(&wanted))
        .unwrap_err();
    assert!(refused.to_string().contains(&port.to_string()), "{refused}");
}
