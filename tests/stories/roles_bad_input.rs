//! Roles that cannot be planned: one line with file, line and next action; nothing sent, nobody asked.

use onetap_support::aws::{Aws, User, World};
use onetap_support::home::Home;

const BINARY: &str = env!("CARGO_BIN_EXE_onetap");

#[test]
fn each_refusal_names_its_line_and_what_to_do() {
    let doug = User::doug();
    let aws = Aws::start(World::of(doug.clone()));
    let home = Home::of_doug(BINARY, &aws, &doug, "");
    let serial = doug.devices[0].serial.clone();
    let (before, touches) = (aws.requests().len(), home.touches());
    let role = |name: &str, rest: &str| {
        format!("[profile {name}]\nrole_arn = arn:aws:iam::123456789012:role/{name}\n{rest}\n")
    };
    let user = format!("[profile doug]\nmfa_serial = {serial}\n");
    let deep = role("admin", "source_profile = doug");
    let cases = [
        (role("top", "source_profile = dough"), ":5: ", "did you mean doug?; name a profile that is there"),
        (
            role("top", "duration_seconds = 60\nsource_profile = doug"),
            ":5: ",
            "AWS grants 900 to 43200 seconds; ",
        ),
        (role("top", "credential_source = EcsContainer"), ":5: ", "see docs/ROLES.md"),
        (
            role("top", "source_profile = top2") + &role("top2", "source_profile = top"),
            ":8: ",
            "top -> top2 -> top; take one",
        ),
        (role("top", ""), ":4: ", "name the profile that owns the access key in source_profile"),
        (
            deep.clone() + &role("top", &format!("source_profile = admin\nmfa_serial = {serial}")),
            ":9: ",
            "a device counts only for a user's own call, and this role is assumed with another role's session; take",
        ),
        (
            deep + &role("top", "source_profile = admin\nduration_seconds = 7200"),
            ":9: ",
            "AWS grants at most 3600 seconds to a role that is assumed from another role's session; write fewer",
        ),
        (
            role("top", "source_profile = mid")
                + "[profile mid]\ncredential_process = onetap credential-process doug\n",
            ":7: ",
            "write `source_profile = doug` instead",
        ),
        (
            role("top", "source_profile = corp") + "[profile corp]\nsso_session = corp\n",
            ":7: ",
            "the AWS CLI does that",
        ),
        (
            role("top", "source_profile = doug\nonetap_code = process"),
            ":6: ",
            "no profile on the way has mfa_process; ",
        ),
    ];
    for (roles, line, words) in cases {
        home.private(".aws/config", &format!("{user}{roles}"));
        let said = home.run(&["credential-process", "top"]);
        assert_eq!((said.status, said.stdout.as_str()), (3, ""), "{}", said.stderr);
        let start = format!("onetap: {}{line}", home.path(".aws/config").display());
        assert!(said.stderr.starts_with(&start), "{start:?}: {}", said.stderr);
        assert!(said.stderr.contains(words), "{words:?}: {}", said.stderr);
        assert_eq!(said.stderr.lines().count(), 1, "{}", said.stderr);
        let through_exec = home.run(&["exec", "top", "--", "true"]);
        assert_eq!((through_exec.status, through_exec.stderr), (125, said.stderr));
    }
    assert_eq!((aws.requests().len(), home.touches()), (before, touches), "nothing is sent, nobody is asked");
}
