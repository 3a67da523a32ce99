//! IAM's own calls.

use data_encoding::BASE64;

use super::*;

const V: (&str, &str) = ("Version", "2010-05-08");
const DOUG: (&str, &str) = ("UserName", "doug");

impl Client {
    fn iam(&self, action: &str, more: &[(&str, &str)]) -> Answer {
        self.call(&[&[("Action", action), V][..], more].concat())
    }
}

/// A server whose clock has just entered a step, and an administrator without a device.
fn administrator() -> (Aws, Client) {
    let (aws, keys) = started(User::doug().without_devices().policy(policy::everything()));
    aws.shift_clock(-(clock::machine().rem_euclid(30)));
    (aws, keys)
}

/// Makes a device; gives its serial.
fn made(keys: &Client, name: &str) -> String {
    let answer = keys.iam("CreateVirtualMFADevice", &[("VirtualMFADeviceName", name)]);
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.tag("SerialNumber").into()
}

fn enable(aws: &Aws, keys: &Client, serial: &str, first: i64, second: i64) -> Answer {
    let (first, second) = (aws.code(serial, first).unwrap(), aws.code(serial, second).unwrap());
    let codes = [("AuthenticationCode1", first.as_str()), ("AuthenticationCode2", second.as_str())];
    keys.iam("EnableMFADevice", &[&[DOUG, ("SerialNumber", serial)][..], &codes].concat())
}

#[test]
fn a_device_is_made_enabled_used_deactivated_and_deleted() {
    let (aws, keys) = administrator();
    let answer = keys.iam("CreateVirtualMFADevice", &[("VirtualMFADeviceName", "doug")]);
    assert_eq!(answer.tag("SerialNumber"), SERIAL);
    let seed = String::from_utf8(BASE64.decode(answer.tag("Base32StringSeed").as_bytes()).unwrap()).unwrap();
    assert_eq!(seed.len(), 64);
    let step = aws.now().div_euclid(30);
    let codes = totp::Codes::around(step, &seed).unwrap();
    assert_eq!(Some(codes.now()), aws.code(SERIAL, 0).as_deref());
    assert_eq!((aws.loose_devices(), aws.devices_of("doug")), (vec![SERIAL.to_owned()], vec![]));
    // Not enabled yet.
    assert_eq!(keys.session_token(&aws.code(SERIAL, 0).unwrap()).status, 403);

    assert_eq!(enable(&aws, &keys, SERIAL, -1, 0).status, 200);
    assert_eq!((aws.loose_devices(), aws.devices_of("doug")), (vec![], vec![SERIAL.to_owned()]));
    // Both codes are used up.
    for steps in [-1, 0] {
        assert_eq!(keys.session_token(&aws.code(SERIAL, steps).unwrap()).tag("Code"), "AccessDenied");
    }
    assert_eq!(keys.session_token(&aws.code(SERIAL, 1).unwrap()).status, 200);
    let listed = keys.iam("ListMFADevices", &[]);
    assert_eq!((listed.tag("SerialNumber"), listed.tag("UserName")), (SERIAL, "doug"));
    assert_eq!(listed.tag("IsTruncated"), "false");
    assert_eq!(
        listed.tag("EnableDate"),
        clock::iso(clock::instant(listed.tag("EnableDate")).unwrap() as i64)
    );

    let device = [("SerialNumber", SERIAL)];
    let message = "MFA VirtualDevice in use. Must deactivate first.";
    assert_eq!(keys.iam("DeleteVirtualMFADevice", &device).told(), (409, "DeleteConflict", message));
    assert_eq!(keys.iam("DeactivateMFADevice", &[device[0], DOUG]).status, 200);
    assert_eq!(keys.iam("DeactivateMFADevice", &[device[0], DOUG]).tag("Code"), "NoSuchEntity");
    assert_eq!(keys.iam("DeleteVirtualMFADevice", &device).status, 200);
    let message = format!("VirtualMFADevice with serial number {SERIAL} does not exist.");
    assert_eq!(keys.iam("DeleteVirtualMFADevice", &device).told(), (404, "NoSuchEntity", message.as_str()));
    assert_eq!((aws.loose_devices(), aws.devices_of("doug")), (vec![], vec![]));
    let shown = format!("{:?}", aws.requests());
    assert!(!shown.contains(&seed));
}

#[test]
fn two_codes_in_a_row_are_wanted_and_each_refusal_has_its_code() {
    let (aws, keys) = administrator();
    let serial = made(&keys, "doug");
    let wrong = (403, "InvalidAuthenticationCode", "Authentication code for device is not valid.");
    for (first, second) in [(0, -1), (0, 0), (-1, 1), (-3, -2), (2, 3)] {
        assert_eq!(enable(&aws, &keys, &serial, first, second).told(), wrong, "{first} {second}");
    }
    assert_eq!(aws.devices_of("doug"), Vec::<String>::new());
    let exists = "MFADevice entity at the same path and name already exists.";
    let again = keys.iam("CreateVirtualMFADevice", &[("VirtualMFADeviceName", "doug")]);
    assert_eq!(again.told(), (409, "EntityAlreadyExists", exists));
    let absent = [DOUG, ("SerialNumber", "arn:aws:iam::123456789012:mfa/none")];
    let codes = [("AuthenticationCode1", "123456"), ("AuthenticationCode2", "654321")];
    assert_eq!(keys.iam("EnableMFADevice", &[absent, codes].concat()).tag("Code"), "NoSuchEntity");
    let short = [("AuthenticationCode1", "12345"), codes[1]];
    assert_eq!(keys.iam("EnableMFADevice", &[absent, short].concat()).tag("Code"), "ValidationError");
    assert_eq!(keys.iam("EnableMFADevice", &absent).tag("Code"), "ValidationError");
    assert_eq!(enable(&aws, &keys, &serial, 0, 1).status, 200);
    assert_eq!(enable(&aws, &keys, &serial, 0, 1).tag("Code"), "EntityAlreadyExists");

    for number in 2..=9 {
        let serial = made(&keys, &format!("doug-{number}"));
        let answer = enable(&aws, &keys, &serial, -1, 0);
        match number {
            9 => assert_eq!(
                answer.told(),
                (409, "LimitExceeded", "Cannot exceed quota for MFADevicesPerUser: 8")
            ),
            _ => assert_eq!(answer.status, 200, "{}", answer.body),
        }
    }
    assert_eq!((aws.devices_of("doug").len(), aws.loose_devices().len()), (8, 1));
    let count = |status: &str| {
        let listed = keys.iam("ListVirtualMFADevices", &[("AssignmentStatus", status)]);
        listed.body.matches("<SerialNumber>").count()
    };
    assert_eq!((count("Any"), count("Assigned"), count("Unassigned")), (9, 8, 1));
}

#[test]
fn a_device_made_anew_under_its_old_name_has_unused_codes() {
    let (aws, keys) = administrator();
    let serial = made(&keys, "doug");
    assert_eq!(enable(&aws, &keys, &serial, 0, 1).status, 200);
    let device = [("SerialNumber", SERIAL)];
    assert_eq!(keys.iam("DeactivateMFADevice", &[device[0], DOUG]).status, 200);
    assert_eq!(keys.iam("DeleteVirtualMFADevice", &device).status, 200);
    let serial = made(&keys, "doug");
    assert_eq!(enable(&aws, &keys, &serial, -1, 0).status, 200);
    assert_eq!(keys.session_token(&aws.code(&serial, 1).unwrap()).status, 200);
}

#[test]
fn a_device_that_ran_away_serves_again_after_a_resync() {
    let (aws, keys) = administrator();
    let serial = made(&keys, "doug");
    assert_eq!(enable(&aws, &keys, &serial, -1, 0).status, 200);
    // Twelve steps ahead: its codes are none of the window's.
    assert_eq!(keys.session_token(&aws.code(SERIAL, 12).unwrap()).status, 403);
    let resync = |first, second| {
        let (first, second) = (aws.code(SERIAL, first).unwrap(), aws.code(SERIAL, second).unwrap());
        keys.iam(
            "ResyncMFADevice",
            &[
                DOUG,
                ("SerialNumber", SERIAL),
                ("AuthenticationCode1", &first),
                ("AuthenticationCode2", &second),
            ],
        )
    };
    assert_eq!(resync(13, 12).tag("Code"), "InvalidAuthenticationCode");
    assert_eq!(resync(12, 13).status, 200);
    assert_eq!(resync(12, 13).tag("Code"), "InvalidAuthenticationCode");
    assert_eq!(keys.session_token(&aws.code(SERIAL, 1).unwrap()).status, 403);
    assert_eq!(keys.session_token(&aws.code(SERIAL, 14).unwrap()).status, 200);
}

#[test]
fn a_new_device_is_unknown_for_as_many_codes_as_was_asked() {
    let (aws, keys) = administrator();
    aws.settle_devices_after(2);
    let serial = made(&keys, "doug");
    assert_eq!(enable(&aws, &keys, &serial, -1, 0).status, 200);
    let code = aws.code(SERIAL, 1).unwrap();
    for _ in 0..2 {
        assert!(keys.session_token(&code).tag("Message").contains("unable to validate MFA code"));
    }
    assert_eq!(keys.session_token(&code).status, 200);
}

#[test]
fn keys_are_two_at_most_and_each_state_is_told() {
    let (aws, keys) = administrator();
    aws.settle_keys_after(2);
    let answer = keys.iam("CreateAccessKey", &[]);
    assert_eq!((answer.tag("UserName"), answer.tag("Status")), ("doug", "Active"));
    let second = Client {
        key: answer.tag("AccessKeyId").into(),
        secret: answer.tag("SecretAccessKey").into(),
        ..keys.clone()
    };
    assert_eq!((second.key.len(), second.secret.len()), (20, 40));
    for _ in 0..2 {
        assert_eq!(second.call(&IDENTITY).tag("Code"), "InvalidClientTokenId");
    }
    assert_eq!(second.call(&IDENTITY).status, 200);
    let quota = "Cannot exceed quota for AccessKeysPerUser: 2";
    assert_eq!(keys.iam("CreateAccessKey", &[DOUG]).told(), (409, "LimitExceeded", quota));

    let old = [("AccessKeyId", keys.key.as_str())];
    let session = keys.session(&keys.call(&TOKEN));
    assert_eq!(second.iam("UpdateAccessKey", &[old[0], ("Status", "Inactive")]).status, 200);
    assert_eq!(keys.call(&IDENTITY).tag("Code"), "InvalidClientTokenId");
    // Sessions outlive the key that they were made with.
    assert_eq!(session.call(&IDENTITY).status, 200);
    assert_eq!(aws.keys_of("doug"), [(keys.key.clone(), false), (second.key.clone(), true)]);
    let listed = second.iam("ListAccessKeys", &[]);
    assert_eq!((listed.tag("AccessKeyId"), listed.tag("Status")), (keys.key.as_str(), "Inactive"));
    assert_eq!(second.iam("UpdateAccessKey", &[old[0], ("Status", "Active")]).status, 200);
    assert_eq!(keys.call(&IDENTITY).status, 200);
    assert_eq!(second.iam("UpdateAccessKey", &[old[0], ("Status", "Off")]).tag("Code"), "ValidationError");
    assert_eq!(second.iam("DeleteAccessKey", &old).status, 200);
    let message = format!("The Access Key with id {} cannot be found.", keys.key);
    assert_eq!(second.iam("DeleteAccessKey", &old).told(), (404, "NoSuchEntity", message.as_str()));
    assert_eq!(keys.call(&IDENTITY).tag("Code"), "InvalidClientTokenId");
    let used = second.iam("GetAccessKeyLastUsed", &[("AccessKeyId", &second.key)]);
    assert_eq!((used.tag("ServiceName"), used.tag("Region")), ("iam", "eu-central-1"));
    assert_eq!(second.iam("GetAccessKeyLastUsed", &old).tag("Code"), "NoSuchEntity");
    let issued = aws.requests().iter().find_map(|seen| seen.issued.clone());
    assert_eq!(issued.as_deref(), Some(second.key.as_str()));
    assert!(!format!("{:?}", aws.requests()).contains(&second.secret));
}

#[test]
fn users_groups_and_policies_are_told_as_they_are() {
    let doug = User::doug()
        .policy(policy::everything())
        .attach("StopOnly", policy::stop_only_with_mfa())
        .boundary(policy::everything());
    let group =
        Group::of("ops", &["doug"]).policy(policy::everything()).attach("Deny", policy::deny_without_mfa());
    let other = Group::of("others", &["anna"]);
    let aws = Aws::start(World::of(doug.clone()).user(User::named("anna")).group(group).group(other));
    let keys = Client::of(&aws, &doug);
    let code = aws.code(SERIAL, 0).unwrap();
    // The group's policy denies what is asked without a code, but for listing devices.
    let refused = keys.iam("GetUser", &[]);
    let message = "User: arn:aws:iam::123456789012:user/doug is not authorized to perform: iam:GetUser on resource: \
                   arn:aws:iam::123456789012:user/doug with an explicit deny in an identity-based policy";
    assert_eq!(refused.told(), (403, "AccessDenied", message));
    assert_eq!(keys.iam("ListMFADevices", &[]).status, 200);
    let session = keys.session(&keys.session_token(&code));
    let user = session.iam("GetUser", &[]);
    assert_eq!((user.tag("UserName"), user.tag("Arn")), ("doug", doug.arn().as_str()));
    let boundary = "arn:aws:iam::123456789012:policy/doug-boundary";
    assert_eq!(user.tag("PermissionsBoundaryArn"), boundary);
    let absent = session.iam("GetUser", &[("UserName", "nobody")]);
    assert_eq!(absent.told(), (404, "NoSuchEntity", "The user with name nobody cannot be found."));

    let attached = session.iam("ListAttachedUserPolicies", &[DOUG]);
    let arn = "arn:aws:iam::123456789012:policy/StopOnly";
    assert_eq!((attached.tag("PolicyName"), attached.tag("PolicyArn")), ("StopOnly", arn));
    assert_eq!(session.iam("ListUserPolicies", &[DOUG]).tag("member"), "inline-1");
    let document = |answer: &Answer, tag: &str| -> serde_json::Value {
        assert_eq!(answer.status, 200, "{}", answer.body);
        let encoded = answer.tag(tag).to_owned();
        assert!(!encoded.contains(['{', ' ', '+']), "{encoded}");
        let pair = format!("x={encoded}");
        let text = form_urlencoded::parse(pair.as_bytes()).next().unwrap().1.into_owned();
        serde_json::from_str(&text).unwrap()
    };
    let inline = session.iam("GetUserPolicy", &[DOUG, ("PolicyName", "inline-1")]);
    assert_eq!(document(&inline, "PolicyDocument"), policy::everything());
    let managed = session.iam("GetPolicy", &[("PolicyArn", arn)]);
    assert_eq!((managed.tag("DefaultVersionId"), managed.tag("AttachmentCount")), ("v1", "1"));
    let version = session.iam("GetPolicyVersion", &[("PolicyArn", arn), ("VersionId", "v1")]);
    assert_eq!(document(&version, "Document"), policy::stop_only_with_mfa());
    assert_eq!(session.iam("GetPolicy", &[("PolicyArn", "arn:none")]).tag("Code"), "NoSuchEntity");

    let groups = session.iam("ListGroupsForUser", &[DOUG]);
    assert_eq!((groups.tag("GroupName"), groups.body.matches("<member>").count()), ("ops", 1));
    let ops = ("GroupName", "ops");
    assert_eq!(session.iam("ListAttachedGroupPolicies", &[ops]).tag("PolicyName"), "Deny");
    assert_eq!(session.iam("ListGroupPolicies", &[ops]).tag("member"), "inline-1");
    let inline = session.iam("GetGroupPolicy", &[ops, ("PolicyName", "inline-1")]);
    assert_eq!(document(&inline, "PolicyDocument"), policy::everything());
    assert_eq!(session.iam("ListGroupPolicies", &[("GroupName", "none")]).tag("Code"), "NoSuchEntity");
    for unknown in ["CreateUser", "GetRole"] {
        assert_eq!(session.iam(unknown, &[]).tag("Code"), "InvalidAction");
    }
    assert_eq!(session.iam("GetUser", &[("User", "doug")]).tag("Code"), "UnknownParameter");
}

#[test]
fn a_session_without_a_code_is_unknown_to_iam() {
    let (aws, keys) = started(User::doug().policy(policy::everything()));
    let without = keys.session(&keys.call(&TOKEN));
    let message = "The security token included in the request is invalid.";
    assert_eq!(without.iam("ListMFADevices", &[]).told(), (403, "InvalidClientTokenId", message));
    assert_eq!(without.call(&DESCRIBE).status, 200);
    let with = keys.session(&keys.session_token(&aws.code(SERIAL, 0).unwrap()));
    assert_eq!(with.iam("ListMFADevices", &[]).status, 200);
}

#[test]
fn a_role_must_name_the_user_that_it_asks_about() {
    let doug = User::doug();
    let role = Role::named("admin").trust(policy::trust(&doug.arn())).policy(policy::everything());
    let arn = role.arn();
    let aws = Aws::start(World::of(doug.clone()).role(role));
    let keys = Client::of(&aws, &doug);
    let assume = [("Action", "AssumeRole"), TOKEN[1], ("RoleSessionName", "story"), ("RoleArn", &arn)];
    let session = keys.session(&keys.call(&assume));
    let message = "Must specify userName when calling with non-User credentials";
    assert_eq!(session.iam("ListMFADevices", &[]).told(), (400, "ValidationError", message));
    assert_eq!(session.iam("ListMFADevices", &[DOUG]).tag("SerialNumber"), SERIAL);
}

#[test]
fn a_boundary_that_is_set_meanwhile_counts_at_once_in_keys_and_sessions() {
    let (aws, keys) = started(User::doug().policy(policy::everything()));
    let without = keys.session(&keys.call(&TOKEN));
    assert_eq!((keys.call(&DESCRIBE).status, without.call(&DESCRIBE).status), (200, 200));
    aws.set_boundary("doug", Some(policy::everything_only_with_mfa()));
    assert_eq!((keys.call(&DESCRIBE).status, without.call(&DESCRIBE).status), (403, 403));
    let refused = keys.iam("CreateVirtualMFADevice", &[("VirtualMFADeviceName", "thief")]);
    let message = "User: arn:aws:iam::123456789012:user/doug is not authorized to perform: iam:CreateVirtualMFADevice on \
                   resource: arn:aws:iam::123456789012:mfa/thief because no permissions boundary allows the \
                   iam:CreateVirtualMFADevice action";
    assert_eq!(refused.told(), (403, "AccessDenied", message));
    aws.set_boundary("doug", None);
    assert_eq!(keys.call(&DESCRIBE).status, 200);

    // By IAM's own calls, where a policy may say which boundary is the right one.
    let arn = "arn:aws:iam::123456789012:policy/OnlyWithMfa";
    let bind = |arn: &str| keys.iam("PutUserPermissionsBoundary", &[DOUG, ("PermissionsBoundary", arn)]);
    assert_eq!(bind(arn).tag("Code"), "NoSuchEntity");
    aws.attach_policy("doug", "OnlyWithMfa", &policy::everything_only_with_mfa());
    aws.detach_policy("doug", "OnlyWithMfa");
    assert_eq!(bind(arn).status, 200);
    assert_eq!(keys.iam("DeleteUserPermissionsBoundary", &[DOUG]).status, 403);
    let session = keys.session(&keys.session_token(&aws.code(SERIAL, 0).unwrap()));
    assert_eq!(session.iam("DeleteUserPermissionsBoundary", &[DOUG]).status, 200);
    assert_eq!(keys.call(&DESCRIBE).status, 200);
    assert_eq!(keys.iam("AttachUserPolicy", &[DOUG, ("PolicyArn", arn)]).status, 200);
    assert_eq!(keys.iam("ListAttachedUserPolicies", &[DOUG]).tag("PolicyArn"), arn);
    assert_eq!(keys.iam("DetachUserPolicy", &[DOUG, ("PolicyArn", arn)]).status, 200);
    assert_eq!(keys.iam("DetachUserPolicy", &[DOUG, ("PolicyArn", arn)]).tag("Code"), "NoSuchEntity");
}

#[test]
fn a_policy_reaches_the_users_own_device_and_no_other() {
    let own = json!({ "Version": "2012-10-17", "Statement": { "Effect": "Allow", "Action": "iam:*MFADevice*",
        "Resource": ["arn:aws:iam::*:mfa/${aws:username}", "arn:aws:iam::*:user/${aws:username}"] } });
    let doug = User::doug().without_devices().policy(own);
    let aws = Aws::start(World::of(doug.clone()).user(User::named("anna")));
    aws.shift_clock(-(clock::machine().rem_euclid(30)));
    let keys = Client::of(&aws, &doug);
    let serial = made(&keys, "doug");
    assert_eq!(enable(&aws, &keys, &serial, -1, 0).status, 200);
    let create = keys.iam("CreateVirtualMFADevice", &[("VirtualMFADeviceName", "anna")]);
    assert_eq!(create.tag("Code"), "AccessDenied");
    let anna = [("UserName", "anna"), ("SerialNumber", "arn:aws:iam::123456789012:mfa/anna")];
    assert_eq!(keys.iam("DeactivateMFADevice", &anna).tag("Code"), "AccessDenied");
    assert_eq!(keys.iam("ListMFADevices", &anna[..1]).tag("Code"), "AccessDenied");
    assert_eq!(keys.iam("ListVirtualMFADevices", &[]).tag("Code"), "AccessDenied");
}

#[test]
fn simulation_tells_each_decision_and_which_keys_it_lacked() {
    let doug = User::doug().policy(policy::everything()).attach("Deny", policy::deny_without_mfa());
    let aws = Aws::start(World::of(doug.clone()));
    aws.set_boundary("doug", Some(policy::everything_only_with_mfa()));
    let admin = User::named("admin").policy(policy::everything());
    let other = Aws::start(World::of(doug.clone()).user(admin.clone()));
    let admin = Client::of(&other, &admin);
    let arn = doug.arn();
    let ask = |more: &[(&str, &str)]| {
        let answer = admin.iam(
            "SimulatePrincipalPolicy",
            &[&[("PolicySourceArn", arn.as_str()), ("ActionNames.member.1", "ec2:StopInstances")][..], more]
                .concat(),
        );
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer
    };
    let mfa = |value| {
        [
            ("ContextEntries.member.1.ContextKeyName", "aws:MultiFactorAuthPresent"),
            ("ContextEntries.member.1.ContextKeyType", "boolean"),
            ("ContextEntries.member.1.ContextKeyValues.member.1", value),
        ]
    };
    let without = ask(&[]);
    assert_eq!(without.tag("EvalDecision"), "explicitDeny");
    assert_eq!(without.tag("MissingContextValues"), "<member>aws:MultiFactorAuthPresent</member>");
    let with = ask(&mfa("true"));
    assert_eq!((with.tag("EvalDecision"), with.tag("MissingContextValues")), ("allowed", ""));
    assert_eq!(ask(&mfa("false")).tag("EvalDecision"), "explicitDeny");
    let two = ask(&[&mfa("false")[..], &[("ActionNames.member.2", "iam:ListMFADevices")]].concat());
    assert!(two.body.contains("<EvalActionName>iam:ListMFADevices</EvalActionName>"));
    assert_eq!(two.body.matches("<EvalDecision>allowed</EvalDecision>").count(), 1);
    assert_eq!(two.body.matches("PermissionsBoundaryDecisionDetail").count(), 0);

    // A boundary that says nothing is an implicit deny, and told beside it.
    other.detach_policy("doug", "Deny");
    other.set_boundary("doug", Some(policy::everything_only_with_mfa()));
    let bounded = ask(&[]);
    assert_eq!(bounded.tag("EvalDecision"), "implicitDeny");
    assert_eq!(bounded.tag("AllowedByPermissionsBoundary"), "false");
    assert_eq!(ask(&mfa("true")).tag("AllowedByPermissionsBoundary"), "true");
    let nobody = [("PolicySourceArn", "arn:aws:iam::123456789012:user/no"), ("ActionNames.member.1", "a:b")];
    assert_eq!(admin.iam("SimulatePrincipalPolicy", &nobody).tag("Code"), "NoSuchEntity");
    // Doug himself may not ask without a code.
    let keys = Client::of(&aws, &doug);
    let own = [("PolicySourceArn", arn.as_str()), ("ActionNames.member.1", "ec2:StopInstances")];
    assert_eq!(keys.iam("SimulatePrincipalPolicy", &own).tag("Code"), "AccessDenied");
}

#[test]
fn a_planned_refusal_changes_nothing() {
    let (aws, keys) = administrator();
    aws.fail_next("CreateVirtualMFADevice", Fault::Refuse);
    let refused = keys.iam("CreateVirtualMFADevice", &[("VirtualMFADeviceName", "doug")]);
    assert_eq!((refused.status, refused.tag("Code")), (403, "AccessDenied"));
    let message =
        "is not authorized to perform: iam:CreateVirtualMFADevice on resource: * with an explicit deny";
    assert!(refused.tag("Message").contains(message), "{}", refused.body);
    assert_eq!(aws.loose_devices(), Vec::<String>::new());
    assert_eq!(aws.requests()[0].outcome, "AccessDenied");
    assert_eq!(made(&keys, "doug"), SERIAL);
}

#[test]
fn sessions_made_before_a_moment_can_be_denied() {
    let (aws, keys) = started(User::doug().policy(policy::everything()));
    aws.shift_clock(-60);
    let stolen = keys.session(&keys.call(&TOKEN));
    aws.shift_clock(0);
    let revoked = json!({ "Version": "2012-10-17", "Statement": { "Effect": "Deny", "Action": "*", "Resource": "*",
        "Condition": { "DateLessThan": { "aws:TokenIssueTime": clock::iso(aws.now() - 30) } } } });
    assert_eq!(stolen.call(&DESCRIBE).status, 200);
    aws.attach_policy("doug", "Revoked", &revoked);
    let refused = stolen.call(&DESCRIBE);
    assert!(refused.tag("Message").ends_with("with an explicit deny in an identity-based policy"));
    assert_eq!(
        (keys.call(&DESCRIBE).status, keys.session(&keys.call(&TOKEN)).call(&DESCRIBE).status),
        (200, 200)
    );
}

#[test]
fn roles_and_groups_can_stand_in_a_world_of_json() {
    let world = json!({
        "users": [{ "name": "doug", "access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": "secret",
            "attached": [{ "name": "All", "document": policy::everything() }] }],
        "groups": [{ "name": "ops", "members": ["doug"], "policies": [policy::deny_without_mfa()] }],
        "roles": [{ "name": "admin", "trust": policy::trust("arn:aws:iam::123456789012:user/doug"),
            "max_session_seconds": 7200, "policies": [policy::everything()] }],
    });
    let world: World = serde_json::from_value(world).unwrap();
    let (doug, arn) = (world.users[0].clone(), world.roles[0].arn());
    let aws = Aws::start(world);
    let keys = Client::of(&aws, &doug);
    assert!(keys.call(&DESCRIBE).tag("Message").contains("explicit deny"));
    let ask = |seconds| {
        let asked = [("RoleSessionName", "story"), ("RoleArn", arn.as_str()), ("DurationSeconds", seconds)];
        keys.call(&[&[("Action", "AssumeRole"), TOKEN[1]][..], &asked].concat())
    };
    // The group's policy denies this, too.
    assert!(ask("7200").tag("Message").contains("explicit deny"));
    aws.set_boundary("doug", None);
    assert_eq!(ask("43201").tag("Code"), "ValidationError");
}
