use serde_json::{Value, json};

use super::api::INVALID;
use super::registry::{Refusal, digest};
use super::*;

const NOW: Millis = 1_753_000_000_000;
const OCI: &str = "application/vnd.oci.image.manifest.v1+json";

fn place() -> Place {
    Place {
        region: "us-east-1".to_owned(),
        account: "000000000000".to_owned(),
        port: 7411,
    }
}

fn call(ecr: &mut Ecr, operation: &str, request: &Value) -> Result<Value, String> {
    ecr.apply(operation, request, &place(), ("secret", "arn"), NOW)
        .map_err(|error| error.code.to_owned())
}

fn with_repository(mutability: &Value) -> Ecr {
    let mut ecr = Ecr::default();
    let mut request = json!({"repositoryName": "team/api"});
    for (name, value) in mutability.as_object().into_iter().flatten() {
        request[name] = value.clone();
    }
    call(&mut ecr, "CreateRepository", &request).unwrap();
    ecr
}

/// Pushes an image of one layer under a tag; its digest.
fn push(ecr: &mut Ecr, tag: &str, layer: &str) -> Result<String, Refusal> {
    let (config, layer) = (digest(b"{}"), digest(layer.as_bytes()));
    ecr.add_blob("team/api", &config, 2, &place())?;
    ecr.add_blob("team/api", &layer, 40, &place())?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": OCI,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+zstd", "digest": layer, "size": 40}],
    });
    put(ecr, tag, Some(OCI), manifest.to_string().as_bytes())
}

fn put(ecr: &mut Ecr, tag: &str, media: Option<&str>, bytes: &[u8]) -> Result<String, Refusal> {
    ecr.put_manifest("team/api", tag, media, bytes, &place(), NOW)
        .map(|stored| stored.digest)
}

#[test]
fn a_repository_is_made_described_and_deleted() {
    let mut ecr = with_repository(&json!({}));
    let name = json!({"repositoryName": "team/api"});
    assert_eq!(
        call(&mut ecr, "CreateRepository", &name),
        Err("RepositoryAlreadyExistsException".to_owned())
    );
    let answer = call(&mut ecr, "DescribeRepositories", &json!({})).unwrap();
    let repository = &answer["repositories"][0];
    assert_eq!(repository["repositoryUri"], "127.0.0.1:7411/team/api");
    assert_eq!(
        repository["repositoryArn"],
        "arn:aws:ecr:us-east-1:000000000000:repository/team/api"
    );
    assert_eq!(repository["imageTagMutability"], "MUTABLE");
    push(&mut ecr, "v1", "one").unwrap();
    assert_eq!(
        call(&mut ecr, "DeleteRepository", &name),
        Err("RepositoryNotEmptyException".to_owned())
    );
    let force = json!({"repositoryName": "team/api", "force": true});
    call(&mut ecr, "DeleteRepository", &force).unwrap();
    assert_eq!(
        call(
            &mut ecr,
            "DescribeRepositories",
            &json!({"repositoryNames": ["team/api"]})
        ),
        Err("RepositoryNotFoundException".to_owned())
    );
    for bad in ["x", "Team/api", "team//api", "-api", "api-"] {
        assert_eq!(
            call(
                &mut ecr,
                "CreateRepository",
                &json!({"repositoryName": bad})
            ),
            Err("InvalidParameterException".to_owned()),
            "{bad}"
        );
    }
}

#[test]
fn images_are_described_by_tag_and_digest() {
    let mut ecr = with_repository(&json!({}));
    let one = push(&mut ecr, "v1", "one").unwrap();
    assert_eq!(push(&mut ecr, "latest", "one").unwrap(), one);
    let two = push(&mut ecr, "latest", "two").unwrap();

    let by_tag = json!({"repositoryName": "team/api", "imageIds": [{"imageTag": "latest"}]});
    let answer = call(&mut ecr, "DescribeImages", &by_tag).unwrap();
    let image = &answer["imageDetails"][0];
    assert_eq!(image["imageDigest"], json!(two));
    assert_eq!(image["imageTags"], json!(["latest"]));
    assert_eq!(image["imageSizeInBytes"], 42);
    assert_eq!(image["imagePushedAt"].to_string(), "1753000000.0");

    let all = call(
        &mut ecr,
        "ListImages",
        &json!({"repositoryName": "team/api"}),
    )
    .unwrap();
    assert_eq!(all["imageIds"].as_array().unwrap().len(), 2);
    let none = json!({"repositoryName": "team/api", "imageIds": [{"imageTag": "v9"}]});
    assert_eq!(
        call(&mut ecr, "DescribeImages", &none),
        Err("ImageNotFoundException".to_owned())
    );
    let batch = json!({"repositoryName": "team/api", "imageIds": [{"imageDigest": one}, {"imageTag": "v9"}]});
    let answer = call(&mut ecr, "BatchGetImage", &batch).unwrap();
    let manifest = answer["images"][0]["imageManifest"].as_str().unwrap();
    assert_eq!(digest(manifest.as_bytes()), one);
    assert_eq!(answer["failures"][0]["failureCode"], "ImageNotFound");
}

#[test]
fn a_deleted_image_takes_its_own_blobs_along_and_no_others() {
    let mut ecr = with_repository(&json!({}));
    push(&mut ecr, "v1", "one").unwrap();
    push(&mut ecr, "v2", "two").unwrap();
    let waiting = digest(b"pushed before its manifest");
    ecr.add_blob("team/api", &waiting, 7, &place()).unwrap();
    let request = json!({"repositoryName": "team/api", "imageIds": [{"imageTag": "v1"}]});
    call(&mut ecr, "BatchDeleteImage", &request).unwrap();
    let in_use = ecr.blobs_in_use();
    assert!(!in_use.contains(digest(b"one").as_str()));
    for kept in [digest(b"two"), digest(b"{}"), waiting.clone()] {
        assert!(in_use.contains(kept.as_str()), "{kept}");
    }
}

#[test]
fn immutable_tags_stay_where_they_are() {
    let filters = json!([{"filterType": "WILDCARD", "filter": "dev-*"}]);
    let cases = [
        (json!({}), "v1", true),
        (json!({"imageTagMutability": "IMMUTABLE"}), "v1", false),
        (
            json!({"imageTagMutability": "IMMUTABLE_WITH_EXCLUSION", "imageTagMutabilityExclusionFilters": filters}),
            "dev-1",
            true,
        ),
        (
            json!({"imageTagMutability": "MUTABLE_WITH_EXCLUSION", "imageTagMutabilityExclusionFilters": filters}),
            "dev-1",
            false,
        ),
    ];
    for (mutability, tag, moves) in cases {
        let mut ecr = with_repository(&mutability);
        let first = push(&mut ecr, tag, "one").unwrap();
        // Even the identical image is refused, as ECR does.
        for layer in ["one", "two"] {
            let outcome = push(&mut ecr, tag, layer).map_err(|refusal| refusal.code);
            assert_eq!(outcome.is_ok(), moves, "{mutability} {tag} {outcome:?}");
        }
        if !moves {
            let found = ecr.manifest("team/api", tag, &place()).unwrap();
            assert_eq!(found.digest, first);
        }
    }
}

#[test]
fn a_manifest_must_hold_together() {
    let mut ecr = with_repository(&json!({}));
    let image = push(&mut ecr, "v1", "one").unwrap();
    let config = json!({"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(b"{}"), "size": 2});
    let part = |digest: &str| json!({"mediaType": OCI, "digest": digest, "size": 1});
    let index = "application/vnd.oci.image.index.v1+json";
    let unknown = digest(b"never pushed");
    let cases = [
        (
            json!({"schemaVersion": 2, "mediaType": OCI, "config": config, "layers": []}),
            Ok(()),
        ),
        (
            json!({"schemaVersion": 2, "mediaType": index, "manifests": [part(&image)]}),
            Ok(()),
        ),
        (
            json!({"schemaVersion": 2, "config": config, "layers": []}),
            Err("MANIFEST_INVALID"),
        ),
        (
            json!({"schemaVersion": 1, "mediaType": OCI, "config": config}),
            Err("MANIFEST_INVALID"),
        ),
        (
            json!({"schemaVersion": 2, "mediaType": OCI}),
            Err("MANIFEST_INVALID"),
        ),
        (
            json!({"schemaVersion": 2, "mediaType": "text/plain"}),
            Err("MANIFEST_INVALID"),
        ),
        (
            json!({"schemaVersion": 2, "mediaType": OCI, "config": config, "layers": [part(&unknown)]}),
            Err("MANIFEST_BLOB_UNKNOWN"),
        ),
        (
            json!({"schemaVersion": 2, "mediaType": index, "manifests": [part(&unknown)]}),
            Err("MANIFEST_BLOB_UNKNOWN"),
        ),
    ];
    for (document, expected) in cases {
        let bytes = document.to_string();
        let outcome = put(&mut ecr, "t", None, bytes.as_bytes());
        assert_eq!(outcome.map(drop).map_err(|r| r.code), expected, "{bytes}");
    }
    let bytes =
        json!({"schemaVersion": 2, "mediaType": OCI, "config": config, "layers": []}).to_string();
    let outcome = |ecr: &mut Ecr, tag: &str, media| {
        put(ecr, tag, media, bytes.as_bytes())
            .map(drop)
            .map_err(|r| r.code)
    };
    assert_eq!(outcome(&mut ecr, "t", Some(index)), Err("MANIFEST_INVALID"));
    assert_eq!(outcome(&mut ecr, &unknown, None), Err("DIGEST_INVALID"));
    assert_eq!(outcome(&mut ecr, "-t", None), Err("TAG_INVALID"));
    assert_eq!(outcome(&mut ecr, &digest(bytes.as_bytes()), None), Ok(()));
    assert_eq!(
        put(&mut ecr, "t", None, b"\xff").unwrap_err().code,
        "MANIFEST_INVALID"
    );
}

#[test]
fn referrers_name_their_subject() {
    let mut ecr = with_repository(&json!({}));
    let image = push(&mut ecr, "v1", "one").unwrap();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": OCI,
        "artifactType": "application/spdx+json",
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest(b"{}"), "size": 2},
        "layers": [],
        "subject": {"mediaType": OCI, "digest": image, "size": 1},
    })
    .to_string();
    let referrer = digest(manifest.as_bytes());
    let stored = ecr
        .put_manifest(
            "team/api",
            &referrer,
            None,
            manifest.as_bytes(),
            &place(),
            NOW,
        )
        .unwrap();
    assert_eq!(stored.subject, Some(image.clone()));
    let index = ecr.referrers("team/api", &image, &place()).unwrap();
    assert_eq!(index["manifests"][0]["digest"], json!(referrer));
    assert_eq!(
        index["manifests"][0]["artifactType"],
        "application/spdx+json"
    );
}

#[test]
fn tags_come_in_pages() {
    let mut ecr = with_repository(&json!({}));
    for tag in ["c", "a", "b"] {
        push(&mut ecr, tag, "one").unwrap();
    }
    let page = |last, limit| ecr.tags("team/api", last, limit, &place()).unwrap();
    assert_eq!(page(None, 2), (vec!["a", "b"], true));
    assert_eq!(page(Some("b"), 2), (vec!["c"], false));
    assert_eq!(page(Some("c"), 2), (vec![], false));
}

#[test]
fn the_state_survives_being_written() {
    let mut ecr = with_repository(&json!({"imageTagMutability": "IMMUTABLE"}));
    push(&mut ecr, "v1", "one").unwrap();
    let text = serde_json::to_string(&ecr).unwrap();
    let read: Ecr = serde_json::from_str(&text).unwrap();
    assert_eq!(read.repositories, ecr.repositories);
}

#[test]
fn patterns() {
    let cases = [
        ("dev-*", "dev-1", true),
        ("dev-*", "prod-1", false),
        ("*", "", true),
        ("*-rc*", "v1-rc2", true),
        ("*-rc", "v1-rc2", false),
        ("v1", "v1", true),
        ("a*a", "a", false),
    ];
    for (pattern, text, expected) in cases {
        assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
    }
}

#[test]
fn policies_are_kept_and_told_until_they_are_deleted() {
    let mut ecr = with_repository(&json!({"imageScanningConfiguration": {"scanOnPush": true}}));
    let name = json!({"repositoryName": "team/api"});
    for (put, get, delete, member, missing) in [
        (
            "SetRepositoryPolicy",
            "GetRepositoryPolicy",
            "DeleteRepositoryPolicy",
            "policyText",
            "RepositoryPolicyNotFoundException",
        ),
        (
            "PutLifecyclePolicy",
            "GetLifecyclePolicy",
            "DeleteLifecyclePolicy",
            "lifecyclePolicyText",
            "LifecyclePolicyNotFoundException",
        ),
    ] {
        assert_eq!(call(&mut ecr, get, &name), Err(missing.to_owned()));
        assert_eq!(call(&mut ecr, delete, &name), Err(missing.to_owned()));
        let mut request = name.clone();
        request[member] = "no document".into();
        assert_eq!(call(&mut ecr, put, &request), Err(INVALID.to_owned()));
        request[member] = r#"{"rules":[]}"#.into();
        call(&mut ecr, put, &request).unwrap();
        let answer = call(&mut ecr, get, &name).unwrap();
        assert_eq!(answer[member], r#"{"rules":[]}"#);
        call(&mut ecr, delete, &name).unwrap();
        assert_eq!(call(&mut ecr, get, &name), Err(missing.to_owned()));
    }
    let scans = |ecr: &mut Ecr| {
        let answer = call(ecr, "DescribeRepositories", &json!({})).unwrap();
        answer["repositories"][0]["imageScanningConfiguration"]["scanOnPush"].clone()
    };
    assert_eq!(scans(&mut ecr), true);
    let request =
        json!({"repositoryName": "team/api", "imageScanningConfiguration": {"scanOnPush": false}});
    call(&mut ecr, "PutImageScanningConfiguration", &request).unwrap();
    assert_eq!(scans(&mut ecr), false);
}

#[test]
fn a_repository_tells_the_encryption_that_was_asked_for() {
    let key = "arn:aws:kms:us-east-1:000000000000:key/k";
    let cases = [
        (json!({}), json!({"encryptionType": "AES256"})),
        (
            json!({"encryptionConfiguration": {"encryptionType": "KMS", "kmsKey": key}}),
            json!({"encryptionType": "KMS", "kmsKey": key}),
        ),
        (
            json!({"encryptionConfiguration": {"encryptionType": "KMS"}}),
            json!({"encryptionType": "KMS", "kmsKey": "arn:aws:kms:us-east-1:000000000000:alias/aws/ecr"}),
        ),
    ];
    for (given, expected) in cases {
        let mut ecr = with_repository(&given);
        let answer = call(&mut ecr, "DescribeRepositories", &json!({})).unwrap();
        assert_eq!(
            answer["repositories"][0]["encryptionConfiguration"],
            expected
        );
    }
    let wrong =
        json!({"repositoryName": "x/y", "encryptionConfiguration": {"encryptionType": "ROT13"}});
    let answer = call(&mut Ecr::default(), "CreateRepository", &wrong);
    assert_eq!(answer, Err("InvalidParameterException".to_owned()));
}

#[test]
fn an_image_is_put_again_under_another_tag() {
    let mut ecr = with_repository(&json!({"imageTagMutability": "IMMUTABLE"}));
    let (one, two) = (
        push(&mut ecr, "v1", "one").unwrap(),
        push(&mut ecr, "v2", "two").unwrap(),
    );
    let manifest = |ecr: &Ecr, digest: &str| {
        let found = ecr.manifest("team/api", digest, &place()).unwrap();
        String::from_utf8(found.bytes.to_vec()).unwrap()
    };
    let (first, second) = (manifest(&ecr, &one), manifest(&ecr, &two));
    let mut put = |manifest: &str, extra: Value| {
        let mut request = json!({"repositoryName": "team/api", "imageManifest": manifest});
        for (member, value) in extra.as_object().unwrap() {
            request[member] = value.clone();
        }
        call(&mut ecr, "PutImage", &request)
    };
    let answer = put(&first, json!({"imageTag": "v3"})).unwrap();
    assert_eq!(
        answer["image"]["imageId"],
        json!({"imageDigest": one, "imageTag": "v3"})
    );
    assert_eq!(answer["image"]["imageManifestMediaType"], OCI);
    let unknown = first.replace(&digest(b"one"), &digest(b"never pushed"));
    let cases = [
        (
            &first,
            json!({"imageTag": "v3"}),
            "ImageAlreadyExistsException",
        ),
        (&first, json!({}), "ImageAlreadyExistsException"),
        (
            &second,
            json!({"imageTag": "v3"}),
            "ImageTagAlreadyExistsException",
        ),
        (
            &second,
            json!({"imageTag": "-"}),
            "InvalidParameterException",
        ),
        (
            &second,
            json!({"imageTag": "v4", "imageDigest": one}),
            "ImageDigestDoesNotMatchException",
        ),
        (
            &unknown,
            json!({"imageTag": "v4"}),
            "LayersNotFoundException",
        ),
        (
            &unknown,
            json!({"repositoryName": "none"}),
            "RepositoryNotFoundException",
        ),
    ];
    for (manifest, extra, code) in cases {
        assert_eq!(
            put(manifest, extra.clone()),
            Err(code.to_owned()),
            "{extra}"
        );
    }
}

#[test]
fn layers_are_looked_for_and_lie_at_signed_addresses() {
    let mut ecr = with_repository(&json!({}));
    let image = push(&mut ecr, "v1", "one").unwrap();
    let (there, not) = (digest(b"one"), digest(b"two"));
    let check = json!({"repositoryName": "team/api", "layerDigests": [there, not, "x"]});
    let answer = call(&mut ecr, "BatchCheckLayerAvailability", &check).unwrap();
    assert_eq!(
        answer["layers"][0],
        json!({"layerDigest": there, "layerAvailability": "AVAILABLE", "layerSize": 40})
    );
    assert_eq!(answer["layers"][1]["layerAvailability"], "UNAVAILABLE");
    assert_eq!(answer["failures"][0]["failureCode"], "InvalidLayerDigest");
    let url = |ecr: &mut Ecr, digest: &str| {
        let request = json!({"repositoryName": "team/api", "layerDigest": digest});
        call(ecr, "GetDownloadUrlForLayer", &request)
    };
    let answer = url(&mut ecr, &there).unwrap();
    let start = format!("http://127.0.0.1:7411/_blobs/{there}?");
    assert!(answer["downloadUrl"].as_str().unwrap().starts_with(&start));
    assert_eq!(
        url(&mut ecr, &not),
        Err("LayersNotFoundException".to_owned())
    );

    let findings = |ecr: &mut Ecr, id: Value| {
        let request = json!({"repositoryName": "team/api", "imageId": id});
        call(ecr, "DescribeImageScanFindings", &request).unwrap_err()
    };
    assert_eq!(
        findings(&mut ecr, json!({"imageDigest": image})),
        "ScanNotFoundException"
    );
    assert_eq!(
        findings(&mut ecr, json!({"imageTag": "v9"})),
        "ImageNotFoundException"
    );
}

#[test]
fn an_index_is_as_large_as_its_largest_image() {
    let mut ecr = with_repository(&json!({}));
    let image = push(&mut ecr, "v1", "one").unwrap();
    let media = "application/vnd.oci.image.index.v1+json";
    let index = json!({"schemaVersion": 2, "mediaType": media, "manifests": [{"mediaType": OCI, "digest": image, "size": 1}]});
    put(&mut ecr, "all", None, index.to_string().as_bytes()).unwrap();
    let by_tag = json!({"repositoryName": "team/api", "imageIds": [{"imageTag": "all"}]});
    let answer = call(&mut ecr, "DescribeImages", &by_tag).unwrap();
    assert_eq!(answer["imageDetails"][0]["imageSizeInBytes"], 42);
    assert_eq!(answer["imageDetails"][0]["imageStatus"], "ACTIVE");
}

#[test]
fn repositories_come_in_pages() {
    let mut ecr = Ecr::default();
    for name in ["cc", "aa", "b/b"] {
        call(
            &mut ecr,
            "CreateRepository",
            &json!({"repositoryName": name}),
        )
        .unwrap();
    }
    assert_eq!(ecr.catalog(None, 2), (vec!["aa", "b/b"], true));
    assert_eq!(ecr.catalog(Some("b/b"), 2), (vec!["cc"], false));
}
