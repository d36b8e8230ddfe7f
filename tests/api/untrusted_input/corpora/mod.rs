//! What arrives from outside: the examples in `data/inputs`, whole, cut, joined, and with changed
//! bytes. No input makes a reader panic, nor breaks an invariant of its reader.

mod callbacks;
mod headers;
mod json_bodies;
mod queue_messages;
mod recipients;
mod stored_items;

use std::path::Path;

/// Changed copies of each example: the same in each run.
const CHANGES: usize = 200;

fn examples(target: &str) -> Vec<Vec<u8>> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/inputs");
    let files = std::fs::read_dir(corpus.join(target)).expect("a corpus");
    let paths = files.map(|file| file.expect("a file").path());
    let mut examples: Vec<_> = paths
        .map(|path| std::fs::read(path).expect("a file"))
        .collect();
    examples.sort();
    examples
}

/// Reads each example of `target` as it is and with changes.
fn read_all(target: &str, run: fn(&[u8])) {
    let examples = examples(target);
    assert!(!examples.is_empty(), "{target}");
    // A linear congruential generator.
    let mut state = 1_u64;
    let mut draw = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(state >> 33).expect("31 bits") % below.max(1)
    };
    for example in &examples {
        run(example);
        for _ in 0..CHANGES {
            let mut changed = example.clone();
            for _ in 0..=draw(4) {
                let at = draw(changed.len());
                match draw(4) {
                    0 => changed.truncate(at),
                    1 => changed.insert(at, u8::try_from(draw(256)).expect("a byte")),
                    2 if !changed.is_empty() => {
                        changed[at] = u8::try_from(draw(256)).expect("a byte");
                    }
                    _ => {
                        let other = &examples[draw(examples.len())];
                        changed.truncate(at);
                        changed.extend_from_slice(&other[draw(other.len())..]);
                    }
                }
            }
            run(&changed);
        }
    }
}

#[test]
fn changed_examples_of_all_inputs_are_read() {
    read_all("json_bodies", json_bodies::run);
    read_all("headers", headers::run);
    read_all("recipients", recipients::run);
    read_all("callbacks", callbacks::run);
    read_all("queue_messages", queue_messages::run);
    read_all("stored_items", stored_items::run);
}
