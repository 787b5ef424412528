//! The cryptosuite `eddsa-rdfc-2022` (W3C Data Integrity EdDSA Cryptosuites v1.0, section 3.2).

use ed25519_dalek::{Signature, Signer};
use jiff::Timestamp;
use oxjsonld::{JsonLdParser, JsonLdRemoteDocument};
use oxrdf::Dataset;
use oxrdf::dataset::{CanonicalizationAlgorithm, CanonicalizationHashAlgorithm};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::credential::{
    CONTEXTS, Credential, Cryptosuite, Proof, ProofKind, ProofPurpose, SignedCredential, second_of,
};
use crate::key::{Did, DidError, Key};

/// What the contexts' addresses stand for; nothing is ever fetched.
const BUNDLED: [(&str, &str); 2] = [
    (CONTEXTS[0], include_str!("../contexts/credentials-v2.json")),
    (
        CONTEXTS[1],
        include_str!("../contexts/ob-v3p0-context-3.0.3.json"),
    ),
];

/// Why a proof can't be made or does not hold.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// The JSON-LD has no RDF graph.
    #[error("the credential can't be read as JSON-LD: {0}")]
    JsonLd(#[from] oxjsonld::JsonLdSyntaxError),
    /// The JSON can't be written.
    #[error("the credential can't be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// The value is no signature.
    #[error("the proof value is not a base58btc signature of 64 bytes")]
    Encoding,
    /// The issuer is no usable key.
    #[error("the issuer's did:key can't be used: {0}")]
    Key(#[from] DidError),
    /// The signature is of something else, or of somebody else.
    #[error("the signature does not fit the content")]
    Signature,
    /// The key is not the issuer's.
    #[error("the key is not the issuer's")]
    OtherIssuer,
}

impl Key {
    /// Signs a credential whose issuer is this key.
    pub fn sign(&self, credential: Credential, created: Timestamp) -> Result<SignedCredential, ProofError> {
        if credential.issuer() != self.did() {
            return Err(ProofError::OtherIssuer);
        }
        let mut proof = Proof {
            kind: ProofKind::DataIntegrityProof,
            cryptosuite: Cryptosuite::EddsaRdfc2022,
            created: second_of(created),
            verification_method: self.did().verification_method(),
            purpose: ProofPurpose::AssertionMethod,
            value: String::new(),
        };
        let signature = self.signing.sign(&hash_of(&credential, &proof)?);
        proof.value = format!("z{}", bs58::encode(signature.to_bytes()).into_string());
        Ok(SignedCredential::new(credential, proof))
    }
}

/// Whether the proof is the issuer's signature over exactly this credential.
pub(crate) fn verify(credential: &Credential, proof: &Proof) -> Result<(), ProofError> {
    let signature = signature_of(&proof.value)?;
    let key = credential.issuer().public_key()?;
    let hash = hash_of(credential, proof)?;
    key.verify_strict(&hash, &signature)
        .map_err(|_| ProofError::Signature)
}

/// The method that the proof must name.
pub(crate) fn method_of(issuer: &Did) -> String {
    issuer.verification_method()
}

fn signature_of(text: &str) -> Result<Signature, ProofError> {
    let digits = text.strip_prefix('z').ok_or(ProofError::Encoding)?;
    // 64 bytes have at most 88 digits.
    if digits.len() > 88 {
        return Err(ProofError::Encoding);
    }
    let bytes = bs58::decode(digits)
        .into_vec()
        .map_err(|_| ProofError::Encoding)?;
    Signature::from_slice(&bytes).map_err(|_| ProofError::Encoding)
}

fn hash_of(credential: &Credential, proof: &Proof) -> Result<[u8; 64], ProofError> {
    let mut options = serde_json::to_value(proof)?;
    if let Value::Object(options) = &mut options {
        options.shift_remove("proofValue");
        options.insert("@context".into(), json!(CONTEXTS));
    }
    let no_others = |_: &str| None;
    let options = canonical_form(&options, no_others)?;
    let document = canonical_form(&serde_json::to_value(credential)?, no_others)?;
    Ok(hash_data(&options, &document))
}

/// SHA-256 of the canonical proof options, then SHA-256 of the canonical document.
fn hash_data(options: &str, document: &str) -> [u8; 64] {
    let mut hash = [0; 64];
    hash[..32].copy_from_slice(&Sha256::digest(options.as_bytes()));
    hash[32..].copy_from_slice(&Sha256::digest(document.as_bytes()));
    hash
}

/// The document's graph in canonical N-Quads (RDFC-1.0 with SHA-256). `more` gives contexts beyond the bundled ones.
fn canonical_form(
    document: &Value,
    more: impl Fn(&str) -> Option<&'static str>
    + Send
    + Sync
    + std::panic::UnwindSafe
    + std::panic::RefUnwindSafe
    + 'static,
) -> Result<String, ProofError> {
    let bytes = serde_json::to_vec(document)?;
    let parser = JsonLdParser::new()
        .for_slice(&bytes)
        .with_load_document_callback(move |url, _| {
            let bundled = BUNDLED
                .iter()
                .find(|(address, _)| *address == url)
                .map(|(_, text)| *text);
            let text = bundled
                .or_else(|| more(url))
                .ok_or("not one of the bundled contexts")?;
            Ok(JsonLdRemoteDocument {
                document: text.as_bytes().to_vec(),
                document_url: url.to_owned(),
            })
        });
    let mut graph = Dataset::new();
    for quad in parser {
        graph.insert(&quad?);
    }
    graph.canonicalize(CanonicalizationAlgorithm::Rdfc10 {
        hash_algorithm: CanonicalizationHashAlgorithm::Sha256,
    });
    let mut lines: Vec<String> = graph.iter().map(|quad| format!("{quad} .\n")).collect();
    lines.sort_unstable();
    Ok(lines.concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::hex;

    const EXAMPLES: &str = r#"{"@context":{"@vocab":"https://www.w3.org/ns/credentials/examples#"}}"#;

    fn published(url: &str) -> Option<&'static str> {
        (url == "https://www.w3.org/ns/credentials/examples/v2").then_some(EXAMPLES)
    }

    /// W3C vc-di-eddsa, appendix B.1 (Representation: eddsa-rdfc-2022).
    #[test]
    fn the_published_vector_is_reproduced() {
        let contexts = json!([
            "https://www.w3.org/ns/credentials/v2",
            "https://www.w3.org/ns/credentials/examples/v2"
        ]);
        let document = json!({
            "@context": contexts,
            "id": "urn:uuid:58172aac-d8ba-11ed-83dd-0b3aef56cc33",
            "type": ["VerifiableCredential", "AlumniCredential"],
            "name": "Alumni Credential",
            "description": "A minimum viable example of an Alumni Credential.",
            "issuer": "https://vc.example/issuers/5678",
            "validFrom": "2023-01-01T00:00:00Z",
            "credentialSubject": {"id": "did:example:abcdefgh", "alumniOf": "The School of Examples"}
        });
        let key = Key::from_multibase("z3u2en7t5LR2WtQH5PfFqMqwVHBeXouLzo6haApm8XHqvjxq").unwrap();
        assert_eq!(
            key.did().fingerprint(),
            "z6MkrJVnaZkeFzdQyMZu1cgjg7k1pZZ6pvBQ7XJPt4swbTQ2"
        );
        let options = json!({
            "type": "DataIntegrityProof",
            "cryptosuite": "eddsa-rdfc-2022",
            "created": "2023-02-24T23:36:38Z",
            "verificationMethod": key.did().verification_method(),
            "proofPurpose": "assertionMethod",
            "@context": contexts
        });
        let hash = hash_data(
            &canonical_form(&options, published).unwrap(),
            &canonical_form(&document, published).unwrap(),
        );
        assert_eq!(
            hex(&hash[..32]),
            "bea7b7acfbad0126b135104024a5f1733e705108f42d59668b05c0c50004c6b0"
        );
        assert_eq!(
            hex(&hash[32..]),
            "517744132ae165a5349155bef0bb0cf2258fff99dfe1dbd914b938d775a36017"
        );
        let value = format!(
            "z{}",
            bs58::encode(key.signing.sign(&hash).to_bytes()).into_string()
        );
        assert_eq!(
            value,
            "z2YwC8z3ap7yx1nZYCg4L3j3ApHsF8kgPdSb5xoS1VR7vPG3F561B52hYnQF9iseabecm3ijx4K1FBTQsCZahKZme"
        );
        key.did()
            .public_key()
            .unwrap()
            .verify_strict(&hash, &signature_of(&value).unwrap())
            .unwrap();
    }

    #[test]
    fn a_context_that_is_not_bundled_is_never_fetched() {
        let error =
            canonical_form(&json!({"@context": "https://example.org/context"}), |_| None).unwrap_err();
        assert!(error.to_string().contains("bundled"), "{error}");
    }

    #[test]
    fn the_bundled_contexts_are_the_published_bytes() {
        let digests = BUNDLED.map(|(_, text)| hex(&Sha256::digest(text.as_bytes())));
        assert_eq!(
            digests[0],
            "59955ced6697d61e03f2b2556febe5308ab16842846f5b586d7f1f7adec92734"
        );
        assert_eq!(
            digests[1],
            "3d34f4d4ef1bce691106e63798beb5e7b862ba841423f5ee1e53ab7ddf3bca84"
        );
    }
}
