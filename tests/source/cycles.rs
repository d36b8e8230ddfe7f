//! No file imports itself through others: each can be read after the files that it imports.

use std::collections::BTreeSet;

use super::assert_none;
use super::imports::Crate;
use super::rust_source::source_roots;

#[test]
fn files_have_no_import_cycles() {
    let mut cycles = vec![];
    for root in source_roots() {
        let all = Crate::read(&root);
        cycles.extend(find_cycles(&all));
    }
    assert_none(&cycles);
}

/// One cycle for each group of files that import one another.
fn find_cycles(all: &Crate) -> Vec<String> {
    let imported = |file| -> BTreeSet<usize> {
        let imports = all.imports(file).into_iter();
        imports.map(|import| import.to).collect()
    };
    let edges: Vec<Vec<usize>> = (0..all.sources.len())
        .map(|file| imported(file).into_iter().collect())
        .collect();
    let mut states = vec![State::New; edges.len()];
    let mut cycles = vec![];
    for file in 0..edges.len() {
        visit(file, &edges, &mut states, &mut vec![], &mut cycles);
    }
    let names = |cycle: Vec<usize>| {
        let paths = cycle.iter().map(|file| all.sources[*file].path.as_str());
        paths.collect::<Vec<_>>().join(" -> ")
    };
    cycles.into_iter().map(names).collect()
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    New,
    OnPath,
    Done,
}

fn visit(
    file: usize,
    edges: &[Vec<usize>],
    states: &mut [State],
    path: &mut Vec<usize>,
    cycles: &mut Vec<Vec<usize>>,
) {
    match states[file] {
        State::Done => {}
        State::OnPath => {
            let start = path.iter().position(|on_path| *on_path == file);
            cycles.push([&path[start.unwrap_or(0)..], &[file]].concat());
        }
        State::New => {
            states[file] = State::OnPath;
            path.push(file);
            for next in &edges[file] {
                visit(*next, edges, states, path, cycles);
            }
            path.pop();
            states[file] = State::Done;
        }
    }
}

#[test]
fn cycle_is_found_through_any_number_of_files() {
    let edges = [vec![1], vec![2], vec![0, 3], vec![]];
    let (mut states, mut cycles) = (vec![State::New; 4], vec![]);
    visit(0, &edges, &mut states, &mut vec![], &mut cycles);
    assert_eq!(cycles, [[0, 1, 2, 0]]);
}
