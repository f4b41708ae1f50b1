//! Layers cancel out along a path, and are ChaCha20 of RFC 8439.

use super::*;
use crate::vectors::{assert_published, hex, named, unhex};
use proptest::prelude::*;
use serde_json::json;

fn keys(word: &str) -> LayerKeys {
    LayerKeys {
        to_exit: named(&format!("{word} to exit")).into(),
        to_client: named(&format!("{word} to client")).into(),
    }
}

proptest! {
    #[test]
    fn what_the_client_adds_the_relays_remove_and_the_other_way_round(
        frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 17..200), 1..8)
    ) {
        let (mut entry, mut middle) = (RelayLayer::new(keys("entry")), RelayLayer::new(keys("middle")));
        let mut client = ClientLayers::new(vec![keys("entry"), keys("middle")]);
        for frame in frames {
            let mut body = frame.clone();
            client.add(&mut body);
            prop_assert_ne!(&body, &frame);
            entry.to_exit.apply(&mut body);
            prop_assert_ne!(&body, &frame);
            middle.to_exit.apply(&mut body);
            prop_assert_eq!(&body, &frame);
            middle.to_client.apply(&mut body);
            entry.to_client.apply(&mut body);
            prop_assert_ne!(&body, &frame);
            client.remove(&mut body);
            prop_assert_eq!(&body, &frame);
        }
    }
}

#[test]
fn a_path_of_two_hops_has_no_layer() {
    let mut none = ClientLayers::new(Vec::new());
    let mut body = *b"as it was";
    none.add(&mut body);
    none.remove(&mut body);
    assert!(none.is_empty() && body == *b"as it was");
    assert!(!ClientLayers::new(vec![keys("entry")]).is_empty());
}

#[test]
fn the_first_frame_is_the_keystream_of_the_standard() {
    // RFC 8439 appendix A.1, vector 1: key, nonce and counter of zero.
    let mut body = [0; 64];
    Layer::new([0; 32].into()).apply(&mut body);
    let expected = "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7\
                    da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586";
    assert_eq!(body[..], unhex(expected)[..]);
}

#[test]
fn published_layers_are_these() {
    let mut layer = Layer::new(named("a layer").into());
    let frames = [
        "the body of CREATED, or of the first DATA",
        "second",
        "third, and longer than a block of ChaCha20: 64 bytes",
    ];
    let frame = |(number, text): (usize, &str)| {
        let mut body = text.as_bytes().to_vec();
        layer.apply(&mut body);
        json!({ "n": number, "body": hex(text), "layered": hex(&body) })
    };
    let frames: Vec<_> = frames.into_iter().enumerate().map(frame).collect();
    let about = "The layer of three frames in one direction (section 6.3).";
    assert_published("layer", about, vec![json!({ "key": hex(named("a layer")), "frames": frames })]);
}
