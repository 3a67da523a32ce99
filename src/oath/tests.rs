//! The client against recorded bytes, and against the virtual token's state machine.

use data_encoding::HEXLOWER_PERMISSIVE as HEX;
use secrecy::SecretString;

use super::*;
use crate::card::mock::emulator::{Emulator, Outcome};
use crate::card::mock::file::TokenFile;
use crate::oath::answer::Version;

/// A recorded exchange: what must be sent, and what comes back.
struct Tape(Vec<(String, String)>);

impl Tape {
    fn of(exchanges: &[(&str, &str)]) -> Self {
        let squeeze = |text: &str| text.split_whitespace().collect::<String>();
        Self(exchanges.iter().rev().map(|(sent, answer)| (squeeze(sent), squeeze(answer))).collect())
    }
}

impl Card for Tape {
    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, CardError> {
        let (sent, answer) = self.0.pop().ok_or(CardError::Removed)?;
        if sent != "*" {
            assert_eq!(HEX.encode(command), sent);
        }
        Ok(HEX.decode(answer.as_bytes()).unwrap())
    }
}

/// The virtual token without file and clock: touches come at once.
struct Chip {
    emulator: Emulator,
    log: Vec<Vec<u8>>,
}

impl Chip {
    fn of(text: &str) -> Self {
        let token = TokenFile::read(text).unwrap().token;
        Self { emulator: Emulator::new(token, [7; 20]), log: Vec::new() }
    }
}

impl Card for Chip {
    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, CardError> {
        self.log.push(command.to_vec());
        match self.emulator.respond(command) {
            Outcome::Answer(answer) => Ok(answer),
            Outcome::AwaitTouch(_) => Ok(self.emulator.touched()),
            Outcome::Removed => Err(CardError::Removed),
            Outcome::Reset => Err(CardError::Reset),
        }
    }
}

fn open(card: &mut dyn Card) -> Applet<'_> {
    match select(card).unwrap() {
        Selected::Open(applet) => applet,
        Selected::Locked(_) => panic!("locked"),
    }
}

fn locked(card: &mut dyn Card) -> LockedApplet<'_> {
    match select(card).unwrap() {
        Selected::Locked(applet) => applet,
        Selected::Open(_) => panic!("open"),
    }
}

fn shown(code: &OneTime) -> String {
    code.text().expose_secret().to_owned()
}

const SELECT: (&str, &str) = ("00a4040007a0000005272101", "79 03 050403 71 08 ccab8427532e8efd 9000");
const LIST: (&str, &str) = (
    "00a10000",
    "72 08 21 47483a6f63746f 72 2a 21 36302f6177733a61726e3a6177733a69616d3a3a3132333435363738393031323a6d66612f75736572 9000",
);
const CODE: (&str, &str) =
    ("00a20001 13 71 07 47483a6f63746f 74 08 0000000001c893a2", "76 05 06 3ea0be9b 9000");
const ALL: (&str, &str) = (
    "00a40001 0a 74 08 0000000003912744",
    "71 07 47483a6f63746f 76 05 06 77715593 71 06 746f75636879 7c 01 06 71 04 686f7470 77 01 06 9000",
);

#[test]
fn recorded_exchanges_are_sent_and_read_identically() {
    let mut tape = Tape::of(&[SELECT, LIST, CODE, ALL]);
    let mut applet = open(&mut tape);
    assert_eq!(applet.device().version, Version(5, 4, 3));
    assert_eq!(HEX.encode(&applet.device().salt), "ccab8427532e8efd");
    let names: Vec<_> = applet.list().unwrap().into_iter().map(|account| account.id).collect();
    assert_eq!(names, ["GH:octo", "60/aws:arn:aws:iam::123456789012:mfa/user"]);
    assert_eq!(shown(&applet.calculate("GH:octo", 0x01c8_93a2).unwrap()), "721947");
    let all = applet.calculate_all(0x0391_2744).unwrap();
    let kinds: Vec<_> = all
        .iter()
        .map(|account| match &account.calculated {
            Calculated::Code(code) => format!("{} {}", account.id, shown(code)),
            Calculated::Counts { .. } => format!("{} counts", account.id),
            Calculated::WantsTouch { .. } => format!("{} touch", account.id),
        })
        .collect();
    assert_eq!(kinds, ["GH:octo 916179", "touchy touch", "hotp counts"]);
    assert!(tape.0.is_empty());
}

/// What each recorded answer reads as, for comparing.
fn reading(which: usize, answer: &str) -> Result<String, OathError> {
    let tape = |exchanges: &[(&str, &str)]| Tape::of(exchanges);
    match which {
        0 => Ok(format!("{:?}", select(&mut tape(&[("*", answer)]))?)),
        1 => Ok(format!("{:?}", open(&mut tape(&[SELECT, ("*", answer)])).list()?)),
        2 => open(&mut tape(&[SELECT, ("*", answer)])).calculate("GH:octo", 1).map(|code| shown(&code)),
        _ => {
            let mut tape = tape(&[SELECT, ("*", answer)]);
            let all = open(&mut tape).calculate_all(1)?;
            let text = |calculated: &Calculated| match calculated {
                Calculated::Code(code) => shown(code),
                other => format!("{other:?}"),
            };
            Ok(all.iter().map(|account| format!("{}={} ", account.id, text(&account.calculated))).collect())
        }
    }
}

#[test]
fn every_prefix_is_an_error_and_every_flipped_byte_is_an_error_or_another_value() {
    for (which, (_, answer)) in [SELECT, LIST, CODE, ALL].iter().enumerate() {
        let answer: String = answer.split_whitespace().collect();
        let truth = reading(which, &answer).unwrap();
        let bytes = HEX.decode(answer.as_bytes()).unwrap();
        for end in 0..bytes.len() {
            let cut = reading(which, &HEX.encode(&bytes[..end]));
            assert!(cut.is_err(), "{which}: the first {end} bytes read as {cut:?}");
            for flip in [0x01, 0x04, 0x40, 0x80, 0xff] {
                let mut flipped = bytes.clone();
                flipped[end] ^= flip;
                if let Ok(read) = reading(which, &HEX.encode(&flipped)) {
                    // The first bit of a truncated code means nothing (RFC 4226, section 5.3).
                    let sign = flip == 0x80 && end > 2 && bytes[end - 3] == 0x76;
                    assert!(read != truth || sign, "{which}: byte {end} ^ {flip:02x} changes nothing");
                }
            }
        }
    }
}

#[test]
fn an_answer_in_chunks_is_gathered_and_one_without_end_is_refused() {
    let chunks = [SELECT, ("00a10000", "72 08 21 47 61 06"), ("00a50000", "483a6f63746f 9000")];
    assert_eq!(open(&mut Tape::of(&chunks)).list().unwrap()[0].id, "GH:octo");
    let empty = [SELECT, ("00a10000", "72 08 21 47483a6f63746f 61 ff"), ("00a50000", "61ff")];
    assert_eq!(open(&mut Tape::of(&empty)).list().unwrap().len(), 1);
    let endless: Vec<_> =
        std::iter::once(SELECT).chain(std::iter::repeat_n(("*", "72 01 21 61 ff"), 200)).collect();
    let mut tape = Tape::of(&endless);
    assert_eq!(open(&mut tape).list(), Err(OathError::Malformed("it does not end")));
    assert_eq!(tape.0.len(), 200 - MOST_CHUNKS);
}

#[test]
fn every_status_word_has_its_own_meaning() {
    for (status, error) in [
        ("6581", OathError::Corrupted),
        ("6982", OathError::Locked),
        ("6985", OathError::Locked),
        ("6984", OathError::NoAccount),
        ("6a80", OathError::Refused),
        ("6d00", OathError::OtherApplet),
        ("6f00", OathError::Status(0x6f00)),
        ("90", OathError::Malformed("no status word")),
    ] {
        assert_eq!(open(&mut Tape::of(&[SELECT, ("*", status)])).calculate("x", 1).unwrap_err(), error);
    }
    for status in ["6a82", "6999", "6d00", "6b00"] {
        assert_eq!(select(&mut Tape::of(&[("*", status)])).unwrap_err(), OathError::NoApplet);
    }
    assert_eq!(open(&mut Tape::of(&[SELECT, ("*", "6a84")])).delete("x"), Err(OathError::Full));
    assert_eq!(open(&mut Tape::of(&[SELECT])).calculate(&"x".repeat(65), 1).unwrap_err(), OathError::Name);
    assert_eq!(open(&mut Tape::of(&[SELECT])).calculate("", 1).unwrap_err(), OathError::Name);
}

#[test]
fn a_password_is_derived_as_yubicos_software_does_it() {
    for (password, salt, key) in [
        ("hunter2", "ee7f558698dd6dcb", "b89ae2b54759ff11c1c6698d596ec9bc"),
        ("Hallå världen!", "3132333435363738", "da818e6b2cf0a2d0bf19b3ddd34b83f5"),
    ] {
        let derived =
            PasswordKey::derive(&SecretString::from(password), &HEX.decode(salt.as_bytes()).unwrap());
        assert_eq!(HEX.encode(derived.expose()), key);
        assert_eq!(format!("{derived:?}"), "PasswordKey(..)");
    }
}

const RFC: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

#[test]
fn the_virtual_token_computes_the_codes_of_rfc_4226_and_rfc_6238() {
    let mut text =
        format!("otpauth://hotp/counter?secret={RFC}\notpauth://totp/sha1?secret={RFC}&digits=8\n");
    for (name, length, algorithm) in [("sha256", 32, "SHA256"), ("sha512", 64, "SHA512")] {
        let seed: Vec<u8> = b"1234567890".iter().copied().cycle().take(length).collect();
        let seed = data_encoding::BASE32_NOPAD.encode(&seed);
        text += &format!("otpauth://totp/{name}?secret={seed}&digits=8&algorithm={algorithm}\n");
    }
    let mut chip = Chip::of(&text);
    let mut applet = open(&mut chip);
    for code in
        ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"]
    {
        assert_eq!(shown(&applet.calculate("counter", 0).unwrap()), code);
    }
    for (time, sha1, sha256, sha512) in [
        (59, "94287082", "46119246", "90693936"),
        (1_111_111_109, "07081804", "68084774", "25091201"),
        (20_000_000_000, "65353130", "77737706", "47863826"),
    ] {
        for (name, code) in [("sha1", sha1), ("sha256", sha256), ("sha512", sha512)] {
            assert_eq!(shown(&applet.calculate(name, time / 30).unwrap()), code);
        }
    }
    let whole = applet.calculate_whole("sha1", &1_u64.to_be_bytes()).unwrap();
    assert_eq!(whole.len(), 20);
    let whole = applet.calculate_whole("sha512", b"a challenge that is no time step").unwrap();
    assert_eq!(whole.len(), 64);
}

#[test]
fn a_password_locks_everything_until_it_is_proven_and_both_sides_prove_it() {
    let mut chip = Chip::of(&format!("password hunter2\notpauth://totp/a?secret={RFC}\n"));
    let wrong = locked(&mut chip);
    let salt = wrong.device().salt.clone();
    let key = |word: &str| PasswordKey::derive(&SecretString::from(word), &salt);
    assert_eq!(wrong.unlock(&key("hunter3")).unwrap_err(), OathError::WrongPassword);
    assert_eq!(chip.transmit(&[0, 0xa1, 0, 0]).unwrap(), [0x69, 0x82]);
    let mut applet = locked(&mut chip).unlock(&key("hunter2")).unwrap();
    assert_eq!(applet.list().unwrap().len(), 1);
    applet.set_password(&key("other")).unwrap();
    assert_eq!(locked(&mut chip).unlock(&key("hunter2")).unwrap_err(), OathError::WrongPassword);
    locked(&mut chip).unlock(&key("other")).unwrap().clear_password().unwrap();
    assert_eq!(open(&mut chip).list().unwrap().len(), 1);
    let impostor = format!("7514 {} 9000", "00".repeat(20));
    let select_locked = "79 03 050403 71 08 ccab8427532e8efd 74 08 0102030405060708 7b 01 01 9000";
    let mut tape = Tape::of(&[(SELECT.0, select_locked), ("*", &impostor)]);
    assert_eq!(locked(&mut tape).unlock(&key("x")).unwrap_err(), OathError::Impostor);
}

#[test]
fn accounts_are_put_overwritten_renamed_deleted_and_their_room_is_limited() {
    let uri = |text: &str| text.parse::<Credential>().unwrap();
    let mut chip = Chip::of("");
    let mut applet = open(&mut chip);
    applet.put(&uri(&format!("otpauth://totp/a:b?secret={RFC}&period=60&touch=true"))).unwrap();
    applet.put(&uri(&format!("otpauth://hotp/h?secret={RFC}&counter=5"))).unwrap();
    applet.put(&uri("otpauth://totp/short?secret=JBSWY3DPEHPK3PXP")).unwrap();
    assert_eq!(shown(&applet.calculate("h", 0).unwrap()), "254676");
    applet.put(&uri(&format!("otpauth://hotp/h?secret={RFC}"))).unwrap();
    assert_eq!(shown(&applet.calculate("h", 0).unwrap()), "755224");
    let all = applet.calculate_all(1).unwrap();
    assert!(
        matches!(all[0], Account { ref id, calculated: Calculated::WantsTouch { digits: 6 } } if id == "60/a:b")
    );
    assert!(matches!(all[1].calculated, Calculated::Counts { .. }));
    applet.rename("60/a:b", "c").unwrap();
    assert_eq!(applet.rename("60/a:b", "d"), Err(OathError::NoAccount));
    assert_eq!(applet.rename("c", "h"), Err(OathError::Refused));
    applet.delete("h").unwrap();
    assert_eq!(applet.delete("h"), Err(OathError::NoAccount));
    for n in applet.list().unwrap().len()..32 {
        applet.put(&uri(&format!("otpauth://totp/{n}{}?secret={RFC}", "n".repeat(62)))).unwrap();
    }
    let full = uri(&format!("otpauth://totp/full?secret={RFC}"));
    assert_eq!(applet.put(&full), Err(OathError::Full));
    assert_eq!(applet.list().unwrap().len(), 32);
    assert_eq!(applet.calculate_all(1).unwrap().len(), 32);
    assert!(chip.log.iter().any(|command| command == &[0, 0xa5, 0, 0]), "32 long names take several chunks");
    chip.log.clear();
    reset(&mut chip).unwrap();
    assert!(open(&mut chip).list().unwrap().is_empty());
    let mut old = Chip::of("firmware 4.2.3\n");
    let mut applet = open(&mut old);
    assert!(matches!(applet.rename("a", "b"), Err(OathError::TooOld(..))));
    let touchy = uri(&format!("otpauth://totp/a?secret={RFC}&touch=true"));
    assert!(matches!(applet.put(&touchy), Err(OathError::TooOld(..))));
    let mut new = Chip::of("firmware 5.7.1\n");
    let mut applet = open(&mut new);
    for n in 0..64 {
        applet.put(&uri(&format!("otpauth://totp/{n}?secret={RFC}"))).unwrap();
    }
    assert_eq!(applet.put(&full), Err(OathError::Full));
}

#[test]
fn the_card_answers_every_case_of_a_command_as_a_key_does() {
    let mut chip = Chip::of(&format!("serial 11111111\notpauth://totp/a?secret={RFC}\n"));
    let mut says = |hex: &str| HEX.encode(&chip.transmit(&HEX.decode(hex.as_bytes()).unwrap()).unwrap());
    assert_eq!(says("00a10000"), "6d00", "nothing is selected");
    assert_eq!(says("00a4040007a0000005271002"), "6a82");
    assert!(says("00a4040007a000000527210100").ends_with("9000"));
    assert_eq!(says("00a1000000"), "720221619000");
    assert_eq!(says("00a10000000000"), "720221619000");
    assert_eq!(says("80a10000"), "6e00");
    assert_eq!(says("00770000"), "6d00");
    assert_eq!(says("00a1"), "6700");
    assert_eq!(says("00a2000105710161"), "6700");
    assert_eq!(says("00a2000103710161"), "6a80", "no challenge");
    assert_eq!(says("00a200010571017a7400"), "6984");
    assert_eq!(says("00a2000105710161740000"), says("00a20001000005710161740000ff"));
    assert_eq!(says("00a300000a7500740801020304050607 08".replace(' ', "").as_str()), "6700");
    assert_eq!(says("00a50000"), "9000");
    assert!(says("00a4040008a000000527471117").ends_with("9000"));
    let config = says("001d0000");
    assert!(config.contains("020400a98ac7") && config.contains("0503050403"), "{config}");
    assert_eq!(says("001d0100"), "6a86");
    assert_eq!(says("00a10000"), "6d00", "the management applet is selected");
}

/// A small generator of numbers (xorshift): the same run every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    fn below(&mut self, sides: usize) -> usize {
        usize::try_from(self.roll(u64::try_from(sides).unwrap())).unwrap()
    }
}

#[test]
fn a_hundred_thousand_random_commands_leave_client_and_token_in_agreement() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut chip = Chip::of("serial 1\n");
    let mut model: Vec<(String, bool, u64)> = Vec::new();
    let names: Vec<String> =
        (0..40).map(|n| format!("{}{n}", ["", "60/", "i:", "arn:aws:iam::1:mfa/"][n % 4])).collect();
    let mut applet = open(&mut chip);
    for _ in 0..100_000 {
        let name = &names[usize::try_from(dice.roll(40)).unwrap()];
        let held = model.iter().position(|(id, ..)| id == name);
        match dice.roll(8) {
            0 => {
                let hotp = dice.roll(2) == 0;
                let kind =
                    if hotp { Kind::Hotp { counter: dice.roll(9) } } else { Kind::Totp { period: 30 } };
                let credential = Credential::with_id(
                    name,
                    b"12345678901234567890".to_vec().into(),
                    kind,
                    Algorithm::Sha1,
                    6,
                    Touch::NotNeeded,
                );
                let counter = if let Kind::Hotp { counter } = credential.kind { counter } else { 0 };
                let put = applet.put(&credential);
                match held {
                    Some(place) => model[place] = (name.clone(), hotp, counter),
                    None if model.len() < 32 => model.push((name.clone(), hotp, counter)),
                    None => {
                        assert_eq!(put, Err(OathError::Full));
                        continue;
                    }
                }
                assert_eq!(put, Ok(()));
            }
            1 => match held {
                Some(place) => {
                    model.remove(place);
                    assert_eq!(applet.delete(name), Ok(()));
                }
                None => assert_eq!(applet.delete(name), Err(OathError::NoAccount)),
            },
            2 => {
                let listed: Vec<_> = applet.list().unwrap().into_iter().map(|account| account.id).collect();
                let modelled: Vec<_> = model.iter().map(|(id, ..)| id.clone()).collect();
                assert_eq!(listed, modelled);
            }
            3 => {
                let all = applet.calculate_all(1).unwrap();
                let counts = all.iter().map(|a| matches!(a.calculated, Calculated::Counts { .. }));
                assert!(counts.eq(model.iter().map(|(_, hotp, _)| *hotp)));
            }
            _ => {
                let step = dice.roll(10);
                match (held, applet.calculate(name, step)) {
                    (Some(place), Ok(code)) => {
                        let (_, hotp, counter) = &mut model[place];
                        let moving = if *hotp { *counter } else { step };
                        *counter += u64::from(*hotp);
                        const RFC_4226: [&str; 10] = [
                            "755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583",
                            "399871", "520489",
                        ];
                        if let Some(expected) = RFC_4226.get(usize::try_from(moving).unwrap()) {
                            assert_eq!(shown(&code), *expected);
                        }
                    }
                    (None, Err(OathError::NoAccount)) => {}
                    (held, answer) => panic!("{held:?} {answer:?}"),
                }
            }
        }
    }
}

/// An account as the model of the next test knows it.
struct Modelled {
    id: String,
    algorithm: Algorithm,
    digits: u8,
    touch: Touch,
}

#[test]
fn a_hundred_thousand_random_commands_from_random_states_agree_on_names_touch_and_passwords() {
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    let mut commands = 0;
    while commands < 100_000 {
        // Another key each time, which 500 commands lead from state to state.
        let mut chip = Chip::of(&format!("serial {}\nfault touch-after 0\n", dice.roll(1 << 32)));
        let mut model: Vec<Modelled> = Vec::new();
        let mut password: Option<usize> = None;
        let salt = open(&mut chip).device().salt.clone();
        let keys = ["a", "b", "c"].map(|word| PasswordKey::derive(&word.into(), &salt));
        for _ in 0..500 {
            commands += 1;
            let name =
                format!("{}{}", ["", "60/", "i:", "arn:aws:iam::1:mfa/"][dice.below(4)], dice.roll(12));
            let held = model.iter().position(|account| account.id == name);
            let selected = select(&mut chip).unwrap();
            let mut applet = match (selected, password) {
                (Selected::Open(applet), None) => applet,
                (Selected::Locked(locked), Some(word)) => match dice.roll(4) {
                    0 => {
                        let wrong = PasswordKey::from_bytes([7; 16]);
                        assert_eq!(locked.unlock(&wrong).err(), Some(OathError::WrongPassword));
                        continue;
                    }
                    _ => locked.unlock(&keys[word]).unwrap(),
                },
                (selected, password) => panic!("{selected:?} {password:?}"),
            };
            match dice.roll(9) {
                0 | 1 => {
                    let algorithm = [Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512][dice.below(3)];
                    let touch = [Touch::NotNeeded, Touch::Required][dice.below(2)];
                    let digits = [6, 7, 8][dice.below(3)];
                    let seed = b"12345678901234567890".to_vec().into();
                    let kind = Kind::Totp { period: 30 };
                    let put = applet.put(&Credential::with_id(&name, seed, kind, algorithm, digits, touch));
                    if held.is_none() && model.len() == 32 {
                        assert_eq!(put, Err(OathError::Full));
                        continue;
                    }
                    assert_eq!(put, Ok(()));
                    let account = Modelled { id: name, algorithm, digits, touch };
                    match held {
                        Some(place) => model[place] = account,
                        None => model.push(account),
                    }
                }
                2 => {
                    let new = format!("renamed:{}", dice.roll(12));
                    let taken = model.iter().any(|account| account.id == new);
                    let renamed = applet.rename(&name, &new);
                    match (held, taken) {
                        (None, _) => assert_eq!(renamed, Err(OathError::NoAccount)),
                        (Some(_), true) => assert_eq!(renamed, Err(OathError::Refused)),
                        (Some(place), false) => {
                            assert_eq!(renamed, Ok(()));
                            model[place].id = new;
                        }
                    }
                }
                3 => match dice.roll(2) {
                    0 => {
                        let word = dice.below(3);
                        assert_eq!(applet.set_password(&keys[word]), Ok(()));
                        password = Some(word);
                    }
                    _ => {
                        assert_eq!(applet.clear_password(), Ok(()));
                        password = None;
                    }
                },
                4 => match held {
                    Some(place) => {
                        model.remove(place);
                        assert_eq!(applet.delete(&name), Ok(()));
                    }
                    None => assert_eq!(applet.delete(&name), Err(OathError::NoAccount)),
                },
                5 => {
                    let listed = applet.list().unwrap();
                    let listed = listed.iter().map(|account| (account.id.as_str(), account.algorithm));
                    assert!(listed.eq(model.iter().map(|account| (account.id.as_str(), account.algorithm))));
                }
                6 => {
                    let all = applet.calculate_all(1).unwrap();
                    let told = all.iter().map(|account| match &account.calculated {
                        Calculated::Code(code) => (code.digits, Touch::NotNeeded),
                        Calculated::WantsTouch { digits } => (*digits, Touch::Required),
                        Calculated::Counts { .. } => panic!("none counts"),
                    });
                    assert!(told.eq(model.iter().map(|account| (account.digits, account.touch))));
                }
                _ => match (held, applet.calculate(&name, 1)) {
                    (Some(place), Ok(code)) => {
                        let Modelled { algorithm, digits, .. } = model[place];
                        // RFC 6238's 94287082 is SHA-1's; its key is another for the other hashes.
                        assert_eq!(code.digits, digits);
                        if algorithm == Algorithm::Sha1 {
                            assert!("94287082".ends_with(&*shown(&code)));
                        }
                    }
                    (None, Err(OathError::NoAccount)) => {}
                    (held, answer) => panic!("{held:?} {answer:?}"),
                },
            }
        }
    }
}

#[test]
fn no_bytes_at_all_make_the_virtual_token_panic() {
    let mut dice = Dice(42);
    let text =
        format!("password x\notpauth://totp/a?secret={RFC}\notpauth://hotp/b?secret={RFC}&touch=true\n");
    let mut chip = Chip::of(&text);
    for _ in 0..100_000 {
        let _ = chip.emulator.respond(&[0, 0xa4, 4, 0, 7, 0xa0, 0, 0, 5, 0x27, 0x21, 1]);
        let length = dice.roll(24);
        let mut command: Vec<u8> = (0..length).map(|_| u8::try_from(dice.roll(256)).unwrap()).collect();
        const INS: [u8; 12] = [1, 2, 3, 4, 5, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0x1d, 0xc0];
        for (place, byte) in [(0, 0), (1, INS[usize::try_from(dice.roll(12)).unwrap()]), (5, 0x71)] {
            if let Some(there) = command.get_mut(place) {
                *there = byte;
            }
        }
        if let Outcome::Answer(answer) = chip.emulator.respond(&command) {
            assert!(answer.len() >= 2);
        }
        let _ = chip.emulator.touched();
        assert!(TokenFile::read(&TokenFile::read("").unwrap().write_back(chip.emulator.token())).is_ok());
    }
}
