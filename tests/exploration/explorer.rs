//! Explores every state of a model, breadth first: a violated invariant is found on a shortest
//! path.

use std::collections::{HashMap, VecDeque};
use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};

/// A model whose states are explored.
pub trait Model {
    type State: Hash;
    fn initial(&self) -> Self::State;
    /// What may happen in `state`: the name of each step, and the state after it.
    fn steps(&self, state: &Self::State) -> Vec<(Step, Self::State)>;
    /// The invariant that `state` violates. `is_final`: nothing can happen any more.
    fn violation(&self, state: &Self::State, is_final: bool) -> Option<String>;
}

/// Who does something, and what.
pub type Step = (Actor, &'static str);
pub type Actor = (&'static str, u8);

/// Everything that was explored.
#[derive(Debug)]
struct Explored {
    states: usize,
    steps: usize,
    /// States in which nothing can happen any more.
    final_states: usize,
}

/// A violated invariant, and the steps that lead to it.
#[derive(Debug)]
struct Violation {
    invariant: String,
    trace: Vec<String>,
}

/// More than any model here has.
const STATES_MAX: usize = 1_000_000;

/// Asserts that no state of `model` violates an invariant.
#[track_caller]
pub fn assert_holds<M: Model + Debug>(model: &M) {
    match explore(model) {
        Ok(explored) => {
            println!("{model:?}: {explored:?}");
            assert!(explored.states > 1000, "{explored:?}");
        }
        Err(violation) => panic!("{violation:#?}"),
    }
}

/// Asserts that `broken`, in which `rule` does not apply, violates an invariant.
#[track_caller]
pub fn assert_notices<M: Model>(broken: &M, rule: impl Debug) {
    match explore(broken) {
        Ok(explored) => panic!("{rule:?} is not noticed: {explored:?}"),
        Err(Violation { invariant, trace }) => {
            println!("{rule:?}: {invariant}, after {} steps", trace.len());
        }
    }
}

/// Explores `model`.
fn explore<M: Model>(model: &M) -> Result<Explored, Violation> {
    let mut explored = Explored {
        states: 0,
        steps: 0,
        final_states: 0,
    };
    let initial = model.initial();
    let first = fingerprint(&initial);
    // Fingerprints only: two of a million states share one with a probability of 3 in 10^8.
    let mut reached_by: HashMap<u64, (u64, Option<Step>)> = HashMap::from([(first, (first, None))]);
    let mut waiting = VecDeque::from([(first, initial)]);
    while let Some((id, state)) = waiting.pop_front() {
        explored.states += 1;
        assert!(
            explored.states <= STATES_MAX,
            "more than {STATES_MAX} states: {explored:?}"
        );
        let steps = model.steps(&state);
        let is_final = steps.is_empty();
        if let Some(invariant) = model.violation(&state, is_final) {
            return Err(Violation {
                invariant,
                trace: trace(&reached_by, id),
            });
        }
        explored.final_states += usize::from(is_final);
        explored.steps += steps.len();
        for (step, next) in steps {
            let next_id = fingerprint(&next);
            if let std::collections::hash_map::Entry::Vacant(new) = reached_by.entry(next_id) {
                new.insert((id, Some(step)));
                waiting.push_back((next_id, next));
            }
        }
    }
    Ok(explored)
}

pub fn fingerprint(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn trace(reached_by: &HashMap<u64, (u64, Option<Step>)>, mut id: u64) -> Vec<String> {
    let mut trace = vec![];
    while let (before, Some(((actor, number), what))) = reached_by[&id] {
        trace.push(format!("{actor} {number}: {what}"));
        id = before;
    }
    trace.reverse();
    trace
}
