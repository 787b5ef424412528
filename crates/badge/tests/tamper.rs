//! Every kind of tampering that another verifier lets pass, or that a forger would try, is refused in every form.

#![allow(clippy::unwrap_used, clippy::semicolon_if_nothing_returned)]

mod common;

use common::{chunk, chunks, key, png_of, rebake_png, rebake_svg, signed, text_chunk, verifier};
use proptest::prelude::*;
use serde_json::{Value, json};
use streamlings_badge::{Key, bake_png, bake_svg, draw_png};

type Change = fn(&mut Value);

/// Changes of the credential's JSON; `after signing` all of them.
const CHANGES: &[(&str, Change)] = &[
    ("a better score", |v| {
        v["credentialSubject"]["result"][0]["value"] = json!("23")
    }),
    ("a score above the maximum", |v| {
        v["credentialSubject"]["result"][0]["value"] = json!("24")
    }),
    ("a failing score", |v| {
        v["credentialSubject"]["result"][0]["value"] = json!("3")
    }),
    ("the score as a number", |v| {
        v["credentialSubject"]["result"][0]["value"] = json!(21)
    }),
    ("the score with a leading zero", |v| {
        v["credentialSubject"]["result"][0]["value"] = json!("021")
    }),
    ("another holder", |v| {
        v["credentialSubject"]["identifier"][0]["identityHash"] = json!("Eve")
    }),
    ("another e-mail hash", |v| {
        v["credentialSubject"]["identifier"][1]["identityHash"] = json!(format!("sha256${}", "0".repeat(64)));
    }),
    ("another salt", |v| {
        v["credentialSubject"]["identifier"][1]["salt"] = json!("salt")
    }),
    ("no name", |v| {
        drop(
            v["credentialSubject"]["identifier"]
                .as_array_mut()
                .unwrap()
                .remove(0),
        )
    }),
    ("no e-mail", |v| {
        drop(
            v["credentialSubject"]["identifier"]
                .as_array_mut()
                .unwrap()
                .remove(1),
        )
    }),
    ("no holder", |v| v["credentialSubject"]["identifier"] = json!([])),
    ("holders in another order", |v| {
        v["credentialSubject"]["identifier"]
            .as_array_mut()
            .unwrap()
            .reverse()
    }),
    ("a holder twice", |v| {
        let one = v["credentialSubject"]["identifier"][0].clone();
        v["credentialSubject"]["identifier"]
            .as_array_mut()
            .unwrap()
            .push(one);
    }),
    ("a holder as an object", |v| {
        v["credentialSubject"]["identifier"] = v["credentialSubject"]["identifier"][0].clone();
    }),
    ("a subject id", |v| {
        v["credentialSubject"]["id"] = json!("did:example:eve")
    }),
    ("another achievement's name", |v| {
        v["credentialSubject"]["achievement"]["name"] = json!("Doctor of Streams")
    }),
    ("another name", |v| v["name"] = json!("Doctor of Streams")),
    ("another description", |v| {
        v["credentialSubject"]["achievement"]["description"] = json!("All of it.")
    }),
    ("other criteria", |v| {
        v["credentialSubject"]["achievement"]["criteria"]["narrative"] = json!("None.")
    }),
    ("another kind of achievement", |v| {
        v["credentialSubject"]["achievement"]["achievementType"] = json!("Degree")
    }),
    ("a lower bar", |v| {
        v["credentialSubject"]["achievement"]["resultDescription"][0]["requiredValue"] = json!("1");
    }),
    ("a higher maximum", |v| {
        v["credentialSubject"]["achievement"]["resultDescription"][0]["valueMax"] = json!("99");
    }),
    ("a second result", |v| {
        let one = v["credentialSubject"]["result"][0].clone();
        v["credentialSubject"]["result"].as_array_mut().unwrap().push(one);
    }),
    ("a result as an object", |v| {
        v["credentialSubject"]["result"] = v["credentialSubject"]["result"][0].clone()
    }),
    ("an empty array of results", |v| {
        v["credentialSubject"]["result"] = json!([])
    }),
    ("a result of something else", |v| {
        v["credentialSubject"]["result"][0]["resultDescription"] = v["id"].clone();
    }),
    ("an earlier date", |v| {
        v["validFrom"] = json!("2020-01-01T00:00:00Z")
    }),
    ("the date in another spelling", |v| {
        v["validFrom"] = json!("2026-11-22T18:00:00.000Z")
    }),
    ("the date in another zone", |v| {
        v["validFrom"] = json!("2026-11-22T19:00:00+01:00")
    }),
    ("a date that is none", |v| {
        v["validFrom"] = json!("2026-02-30T18:00:00Z")
    }),
    ("an end of validity", |v| {
        v["validUntil"] = json!("2099-01-01T00:00:00Z")
    }),
    ("no date", |v| {
        drop(v.as_object_mut().unwrap().shift_remove("validFrom"))
    }),
    ("another id", |v| {
        v["id"] = json!("urn:uuid:02020202-0202-8202-8202-020202020202")
    }),
    ("the id in capitals", |v| {
        v["id"] = json!(v["id"].as_str().unwrap().to_uppercase())
    }),
    ("another issuer's name", |v| {
        v["issuer"]["name"] = json!("A university")
    }),
    ("another issuer", |v| {
        v["issuer"]["id"] = json!(Key::from_secret([8; 32]).did().as_str())
    }),
    ("an issuer by another method", |v| {
        v["issuer"]["id"] = json!("did:web:example.org")
    }),
    ("an issuer as a string", |v| {
        v["issuer"] = v["issuer"]["id"].clone()
    }),
    ("an issuer's image", |v| {
        v["issuer"]["image"] = json!("https://example.org/logo.png")
    }),
    ("types in another order", |v| {
        v["type"].as_array_mut().unwrap().reverse()
    }),
    ("a type twice", |v| {
        v["type"]
            .as_array_mut()
            .unwrap()
            .push(json!("OpenBadgeCredential"))
    }),
    ("a type more", |v| {
        v["type"]
            .as_array_mut()
            .unwrap()
            .push(json!("AchievementCredential"))
    }),
    ("a type as a string", |v| {
        v["credentialSubject"]["type"] = json!("AchievementSubject")
    }),
    ("contexts in another order", |v| {
        v["@context"].as_array_mut().unwrap().reverse()
    }),
    ("a context more", |v| {
        v["@context"]
            .as_array_mut()
            .unwrap()
            .push(json!("https://example.org/context"))
    }),
    ("an inline context", |v| {
        v["@context"][1] = json!({"name": "https://schema.org/alternateName"})
    }),
    ("another version of a context", |v| {
        v["@context"][1] = json!("https://purl.imsglobal.org/spec/ob/v3p0/context-3.0.2.json");
    }),
    ("a context inside", |v| {
        v["credentialSubject"]["@context"] = json!({"x": "https://example.org/x"})
    }),
    ("a field that no context knows", |v| {
        v["honours"] = json!("summa cum laude")
    }),
    ("a null field", |v| {
        v["credentialSubject"]["achievement"]["image"] = Value::Null
    }),
    ("a null salt", |v| {
        v["credentialSubject"]["identifier"][0]["salt"] = Value::Null
    }),
    ("evidence", |v| {
        v["evidence"] = json!([{"id": "https://example.org/", "type": ["Evidence"]}])
    }),
    ("an alias of a keyword", |v| {
        let id = v.as_object_mut().unwrap().shift_remove("id").unwrap();
        v["@id"] = id;
    }),
    ("no proof", |v| {
        drop(v.as_object_mut().unwrap().shift_remove("proof"))
    }),
    ("an empty array of proofs", |v| v["proof"] = json!([])),
    ("the proof as an object", |v| v["proof"] = v["proof"][0].clone()),
    ("the proof twice", |v| {
        let one = v["proof"][0].clone();
        v["proof"].as_array_mut().unwrap().push(one);
    }),
    ("a second proof of another kind", |v| {
        v["proof"]
            .as_array_mut()
            .unwrap()
            .push(json!({"type": "Ed25519Signature2020"}));
    }),
    ("another proof purpose", |v| {
        v["proof"][0]["proofPurpose"] = json!("authentication")
    }),
    ("another cryptosuite", |v| {
        v["proof"][0]["cryptosuite"] = json!("eddsa-jcs-2022")
    }),
    ("another kind of proof", |v| {
        v["proof"][0]["type"] = json!("Ed25519Signature2020")
    }),
    ("another date of the proof", |v| {
        v["proof"][0]["created"] = json!("2026-11-22T18:00:02Z")
    }),
    ("a proof before the award", |v| {
        v["proof"][0]["created"] = json!("2026-11-22T17:00:00Z")
    }),
    ("a proof in the future", |v| {
        v["proof"][0]["created"] = json!("2036-11-22T17:00:00Z")
    }),
    ("no date of the proof", |v| {
        drop(v["proof"][0].as_object_mut().unwrap().shift_remove("created"))
    }),
    ("an expiry of the proof", |v| {
        v["proof"][0]["expires"] = json!("2099-01-01T00:00:00Z")
    }),
    ("a context in the proof", |v| {
        v["proof"][0]["@context"] = v["@context"].clone()
    }),
    ("a domain in the proof", |v| {
        v["proof"][0]["domain"] = json!("example.org")
    }),
    ("another key's method", |v| {
        v["proof"][0]["verificationMethod"] = json!(Key::from_secret([8; 32]).did().verification_method());
    }),
    ("another fragment of the method", |v| {
        v["proof"][0]["verificationMethod"] = json!(format!("{}#key-1", key().did()));
    }),
    ("a cut signature", |v| {
        let value = v["proof"][0]["proofValue"].as_str().unwrap();
        v["proof"][0]["proofValue"] = json!(value[..value.len() - 1]);
    }),
    ("another signature", |v| {
        let forged = Key::from_secret([8; 32]);
        let credential = common::award().credential(forged.did()).unwrap();
        let signed = forged
            .sign(credential, common::at("2026-11-22T18:00:01Z"))
            .unwrap();
        v["proof"][0]["proofValue"] =
            serde_json::to_value(&signed).unwrap()["proof"][0]["proofValue"].clone();
    }),
    ("a signature in another base", |v| {
        v["proof"][0]["proofValue"] = json!("uAAAA")
    }),
    ("an empty signature", |v| v["proof"][0]["proofValue"] = json!("z")),
];

#[test]
fn every_change_of_the_credential_is_refused_in_json_svg_and_png() {
    let signed = signed();
    let (svg, png) = (bake_svg(&signed).unwrap(), bake_png(&signed).unwrap());
    assert!(CHANGES.len() >= 30);
    for (what, change) in CHANGES {
        let mut value = serde_json::to_value(&signed).unwrap();
        change(&mut value);
        let json = value.to_string();
        assert_ne!(
            value,
            serde_json::to_value(&signed).unwrap(),
            "{what} changes nothing"
        );
        assert!(verifier().verify(json.as_bytes()).is_err(), "JSON with {what}");
        assert!(
            verifier().verify(rebake_svg(&svg, &json).as_bytes()).is_err(),
            "SVG with {what}"
        );
        assert!(
            verifier().verify(&rebake_png(&png, &json)).is_err(),
            "PNG with {what}"
        );
    }
}

/// Each string of the credential is signed: none is lost between JSON and graph.
#[test]
fn every_single_text_is_signed() {
    fn texts(value: &Value, path: &str, found: &mut Vec<String>) {
        match value {
            Value::Object(map) => map
                .iter()
                .for_each(|(k, v)| texts(v, &format!("{path}/{k}"), found)),
            Value::Array(list) => list
                .iter()
                .enumerate()
                .for_each(|(i, v)| texts(v, &format!("{path}/{i}"), found)),
            Value::Null => {}
            _ => found.push(path.to_owned()),
        }
    }
    let value = serde_json::to_value(signed()).unwrap();
    let mut paths = Vec::new();
    texts(&value, "", &mut paths);
    assert!(paths.len() > 40);
    for path in paths {
        let mut changed = value.clone();
        let text = changed.pointer_mut(&path).unwrap();
        *text = match &*text {
            Value::Bool(flag) => json!(!*flag),
            text => json!(format!("{}x", text.as_str().unwrap())),
        };
        assert!(
            verifier().verify(changed.to_string().as_bytes()).is_err(),
            "{path}"
        );
    }
}

/// Changes that JSON readers hide: they are made in the text.
#[test]
fn what_a_json_reader_would_not_notice_is_refused() {
    let json = signed().to_json();
    let twice = json.replacen(
        "\"validFrom\"",
        "\"validFrom\": \"2020-01-01T00:00:00Z\",\n  \"validFrom\"",
        1,
    );
    let deep = json.replacen("\"hashed\": true", "\"hashed\": true, \"hashed\": true", 1);
    let trailing = format!("{json}{{}}");
    for (what, text) in [
        ("a field twice", twice),
        ("a field twice inside", deep),
        ("something after it", trailing),
    ] {
        assert_ne!(text, json);
        assert!(verifier().verify(text.as_bytes()).is_err(), "{what}");
    }
    let spaced = json.replace('\n', "\r\n\t ");
    assert!(
        verifier().verify(spaced.as_bytes()).is_ok(),
        "white space has no meaning"
    );
}

#[test]
fn every_change_around_an_svgs_credential_is_refused() {
    let signed = signed();
    let svg = bake_svg(&signed).unwrap();
    let element = {
        let from = svg.find("<openbadges:credential>").unwrap();
        let to = svg.find("</openbadges:credential>").unwrap() + "</openbadges:credential>".len();
        &svg[from..to]
    };
    let changed = [
        ("another score in the picture", svg.replace(">21<", ">23<")),
        (
            "another name in the picture",
            svg.replace(">Ada Lovelace<", ">Eve<"),
        ),
        (
            "a second credential",
            svg.replacen(element, &element.repeat(2), 1),
        ),
        (
            "a second credential at the end",
            svg.replace("</svg>", &format!("{element}</svg>")),
        ),
        (
            "a credential in another namespace",
            svg.replace("https://purl.imsglobal.org/ob/v3p0", "https://example.org/"),
        ),
        (
            "a verify attribute",
            svg.replace(
                "<openbadges:credential>",
                "<openbadges:credential verify=\"x.y.z\">",
            ),
        ),
        (
            "a script",
            svg.replace("</svg>", "<script>alert(1)</script></svg>"),
        ),
        ("a comment", svg.replace("</svg>", "<!-- 23 of 23 --></svg>")),
        (
            "a document type",
            format!("<!DOCTYPE svg [<!ENTITY a \"b\">]>{svg}"),
        ),
        ("something after it", format!("{svg}\n")),
        ("no credential", svg.replacen(element, "", 1)),
        (
            "a credential deeper inside",
            svg.replacen(element, &format!("<g>{element}</g>"), 1),
        ),
        (
            "an element in the credential",
            svg.replace("<![CDATA[", "<b/><![CDATA["),
        ),
        (
            "a link",
            svg.replace("<title>", "<a href=\"https://example.org\"/><title>"),
        ),
    ];
    for (what, file) in changed {
        assert_ne!(file, svg, "{what} changes nothing");
        assert!(verifier().verify(file.as_bytes()).is_err(), "SVG with {what}");
    }
}

#[test]
fn every_change_around_a_pngs_credential_is_refused() {
    let signed = signed();
    let png = bake_png(&signed).unwrap();
    let parts = chunks(&png);
    let json = serde_json::to_string(&signed).unwrap();
    let mut better = common::award();
    better.score = 23;
    let with = |at: usize, new: Vec<u8>| {
        let mut parts = parts.clone();
        parts.insert(at, new);
        png_of(&parts)
    };
    let instead = |at: usize, new: Vec<u8>| {
        let mut parts = parts.clone();
        parts[at] = new;
        png_of(&parts)
    };
    let keyword = b"openbadgecredential\0";
    let changed = [
        (
            "another picture",
            rebake_png(&bake_png(&common::sign(&better)).unwrap(), &json),
        ),
        ("no credential", draw_png(&signed.credential()).unwrap()),
        ("a second chunk", with(2, text_chunk(&json))),
        (
            "a second chunk at the end",
            with(parts.len() - 1, text_chunk(&json)),
        ),
        (
            "a text chunk of another kind",
            with(2, chunk(b"tEXt", &[keyword, json.as_bytes()].concat())),
        ),
        (
            "another text",
            with(2, chunk(b"iTXt", b"Comment\0\0\0\0\0honours")),
        ),
        (
            "a compressed chunk",
            instead(
                1,
                chunk(b"iTXt", &[&keyword[..], &[1, 0, 0, 0], json.as_bytes()].concat()),
            ),
        ),
        (
            "a language",
            instead(
                1,
                chunk(b"iTXt", &[&keyword[..], b"\0\0en\0\0", json.as_bytes()].concat()),
            ),
        ),
        (
            "a keyword in capitals",
            instead(
                1,
                chunk(
                    b"iTXt",
                    &[&b"OpenBadgeCredential\0\0\0\0\0"[..], json.as_bytes()].concat(),
                ),
            ),
        ),
        ("another chunk", with(2, chunk(b"pHYs", &[0; 9]))),
        ("an animation", with(2, chunk(b"acTL", &[0; 8]))),
        ("something after its end", [&png[..], b"x"].concat()),
        ("a cut end", png[..png.len() - 5].to_vec()),
        ("a wrong checksum", {
            let mut cut = png.clone();
            *cut.last_mut().unwrap() ^= 1;
            cut
        }),
        ("no end", png_of(&parts[..parts.len() - 1])),
        ("the credential after the pixels", {
            let mut parts = parts.clone();
            let text = parts.remove(1);
            parts.insert(parts.len() - 1, text);
            png_of(&parts)
        }),
    ];
    for (what, file) in changed {
        assert_ne!(file, png, "{what} changes nothing");
        assert!(verifier().verify(&file).is_err(), "PNG with {what}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    /// Whatever byte is changed: refused, or it says exactly what was signed.
    #[test]
    fn no_changed_byte_changes_the_meaning(place in 0.0..1.0_f64, to in any::<u8>(), form in 0..3_u8) {
        let signed = signed();
        let mut file = match form {
            0 => signed.to_json().into_bytes(),
            1 => bake_svg(&signed).unwrap().into_bytes(),
            _ => baked_png().to_vec(),
        };
        let at = (place * file.len() as f64) as usize;
        prop_assume!(file[at] != to);
        file[at] = to;
        if let Ok(verified) = verifier().verify(&file) {
            prop_assert_eq!(form, 0, "a picture with another byte");
            prop_assert_eq!(verified.signed, signed);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(file in proptest::collection::vec(any::<u8>(), 0..400), form in 0..3_u8) {
        let start: &[u8] = match form { 0 => b"{\"@context\":", 1 => b"<svg>", _ => b"\x89PNG\r\n\x1a\n" };
        prop_assert!(verifier().verify(&[start, &file].concat()).is_err());
    }
}

fn baked_png() -> &'static [u8] {
    static PNG: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| bake_png(&signed()).unwrap());
    &PNG
}
