//! Subjects: their factors, verified recipients and decisions.

mod approvals;
mod backup_codes;
mod checks;
mod decision_examples;
mod decisions;
mod enrolment;
mod hotp;
mod killed_approvals;
mod killed_changes;
mod parallel_processes;
mod proofs;
mod races;
mod recipients;
mod reseal;
mod storage;
mod subject_ids;
mod uniqueness;
mod walkthrough;
