//! The server's clock, and many clients at once.

use super::*;

#[test]
fn a_policy_may_demand_a_recent_code() {
    let recent = json!({ "Version": "2012-10-17", "Statement": { "Effect": "Allow", "Action": "ec2:*",
        "Resource": "*", "Condition": { "NumericLessThan": { "aws:MultiFactorAuthAge": "3600" } } } });
    let (aws, keys) = started(User::doug().policy(recent));
    aws.shift_clock(-(clock::machine().rem_euclid(30)));
    assert_eq!(keys.call(&DESCRIBE).status, 403);
    let session = keys.session(&keys.session_token(&aws.code(SERIAL, 0).unwrap()));
    assert_eq!(session.call(&DESCRIBE).status, 200);
    aws.shift_clock(3600);
    let later = Client { ahead: 3600, ..session };
    assert_eq!(later.call(&DESCRIBE).tag("Code"), "UnauthorizedOperation");
    let fresh = Client { ahead: 3600, ..keys };
    let fresh = fresh.session(&fresh.session_token(&aws.code(SERIAL, 0).unwrap()));
    assert_eq!(fresh.call(&DESCRIBE).status, 200);
}

#[test]
fn the_clock_may_be_off_by_anything_from_seconds_to_a_day() {
    let (aws, keys) = story_a();
    for (shift, wanted) in [
        (20, None),
        (-20, None),
        (120, None),
        (-120, None),
        (600, None),
        (-600, None),
        (1200, Some("Signature expired: ")),
        (-1200, Some("Signature not yet current: ")),
        (86_400, Some("Signature expired: ")),
        (-86_400, Some("Signature not yet current: ")),
    ] {
        aws.shift_clock(shift);
        let answer = keys.call(&IDENTITY);
        assert!(answer.tag("Message").starts_with(wanted.unwrap_or_default()), "{shift}: {}", answer.body);
        assert_eq!(answer.status, if wanted.is_some() { 403 } else { 200 }, "{shift}");
        let off = DateOf(&answer.headers["date"]).seconds() - clock::machine();
        assert!((off - shift).abs() <= 5, "{off} is not {shift}");
    }
}

#[test]
fn a_year_passes_on_a_clock_that_stands_still() {
    let (aws, keys) = story_a();
    let began = clock::machine();
    for month in 0..12 {
        let at = began + month * 31 * 86_400;
        aws.stop_clock(at);
        let then = Client { ahead: at - clock::machine(), ..keys.clone() };
        let made = then.session_token(&aws.code(SERIAL, 0).unwrap());
        assert_eq!(made.tag("Expiration"), clock::iso(at + 43_200));
        assert_eq!(then.session(&made).call(&STOP).status, 200);
        assert_eq!(aws.now(), at);
    }
    aws.shift_clock(0);
    assert!((aws.now() - clock::machine()).abs() <= 1);
}

#[test]
fn two_hundred_at_once_are_served() {
    let users: Vec<User> = (0..4).map(|number| User::named(&format!("user{number}"))).collect();
    let role = users.iter().fold(World::default(), |world, user| {
        let name = format!("role-of-{}", user.name);
        world.user(user.clone()).role(Role::named(&name).trust(policy::trust_with_mfa(&user.arn())))
    });
    let aws = Aws::start(role);
    aws.shift_clock(-(clock::machine().rem_euclid(30)));
    let clients: Vec<Client> = users.iter().map(|user| Client::of(&aws, user)).collect();
    let codes: Vec<String> = users.iter().map(|user| aws.code(&user.devices[0].serial, 0).unwrap()).collect();
    let start = std::sync::Barrier::new(200);
    let granted: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..200)
            .map(|number| {
                let (start, user) = (&start, &users[number % 4]);
                let (client, code) = (&clients[number % 4], &codes[number % 4]);
                scope.spawn(move || {
                    let arn = Role::named(&format!("role-of-{}", user.name)).arn();
                    start.wait();
                    let mfa = [("SerialNumber", user.devices[0].serial.as_str()), ("TokenCode", code)];
                    let ask =
                        [("Action", "AssumeRole"), TOKEN[1], ("RoleSessionName", "many"), ("RoleArn", &arn)];
                    usize::from(client.call(&[&ask[..], &mfa].concat()).status == 200)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    // Each code serves once; everybody else was told so.
    assert_eq!((granted, aws.count("AssumeRole")), (4, 200));
    let refused = aws.requests().iter().filter(|seen| seen.outcome == "AccessDenied").count();
    assert_eq!(refused, 196);
}
