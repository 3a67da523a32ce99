//! Stories: what people do with onetap, through real parts; one module each, one binary for all.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "stories/bad_input.rs"]
mod bad_input;
#[path = "stories/both_servers.rs"]
mod both_servers;
#[path = "stories/cached_path.rs"]
mod cached_path;
#[path = "stories/callers.rs"]
mod callers;
#[path = "stories/corpus.rs"]
mod corpus;
#[path = "stories/crowd.rs"]
mod crowd;
#[path = "stories/devices.rs"]
mod devices;
#[path = "stories/docs.rs"]
mod docs;
#[path = "stories/doctor.rs"]
mod doctor;
#[path = "stories/enroll.rs"]
mod enroll;
#[path = "stories/enroll_policies.rs"]
mod enroll_policies;
#[path = "stories/exec_child.rs"]
mod exec_child;
#[path = "stories/explain.rs"]
mod explain;
#[path = "stories/first_day.rs"]
mod first_day;
#[path = "stories/go.rs"]
mod go;
#[path = "stories/handoff.rs"]
mod handoff;
#[path = "stories/handoff_completions.rs"]
mod handoff_completions;
#[path = "stories/handoff_terminal.rs"]
mod handoff_terminal;
#[path = "stories/hygiene.rs"]
mod hygiene;
#[path = "stories/import.rs"]
mod import;
#[path = "stories/keys.rs"]
mod keys;
#[path = "stories/killed.rs"]
mod killed;
#[path = "stories/leaks.rs"]
mod leaks;
#[path = "stories/main_job.rs"]
mod main_job;
#[path = "stories/memory.rs"]
mod memory;
#[path = "stories/no_prompt.rs"]
mod no_prompt;
#[path = "stories/pcsc.rs"]
mod pcsc;
#[path = "stories/pipeline.rs"]
mod pipeline;
#[path = "stories/policy.rs"]
mod policy;
#[path = "stories/real_parts.rs"]
mod real_parts;
#[path = "stories/recipes.rs"]
mod recipes;
#[path = "stories/roles.rs"]
mod roles;
#[path = "stories/roles_bad_input.rs"]
mod roles_bad_input;
#[path = "stories/rotate.rs"]
mod rotate;
#[path = "stories/serials.rs"]
mod serials;
#[path = "stories/shells.rs"]
mod shells;
#[path = "stories/simulation.rs"]
mod simulation;
#[path = "stories/stand_in.rs"]
mod stand_in;
#[path = "stories/terminal.rs"]
mod terminal;
#[path = "stories/time.rs"]
mod time;
#[path = "stories/tmux.rs"]
mod tmux;
#[path = "stories/token.rs"]
mod token;
#[path = "stories/token_verbs.rs"]
mod token_verbs;
#[path = "stories/udev.rs"]
mod udev;
#[path = "stories/unlock.rs"]
mod unlock;
#[path = "stories/vault.rs"]
mod vault;
#[path = "stories/vault_move.rs"]
mod vault_move;
#[path = "stories/write.rs"]
mod write;
