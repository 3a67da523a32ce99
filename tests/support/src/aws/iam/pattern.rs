//! Text with wildcards and variables, as policies write it.
//!
//! Source: IAM User Guide, "IAM JSON policy elements: Resource" and "Variables and tags".

use super::{Context, Key};

/// A pattern whose variables are filled in when it is compared.
#[derive(Clone, Debug)]
pub(crate) struct Pattern(Vec<Piece>);

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    /// `*`: any characters, also none.
    Any,
    Literal(char),
    /// `?`: one character.
    One,
    Variable(Key),
}

/// Which signs mean more than themselves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Syntax {
    /// `*`, `?`, and variables where the policy's version has them.
    Wildcards {
        /// Whether `${...}` is read: since version 2012-10-17.
        variables: bool,
    },
    /// Only variables, as for `StringEquals`.
    Words {
        /// As above.
        variables: bool,
    },
}

/// Whether upper and lower case are told apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Case {
    /// Resources and most strings.
    Exact,
    /// Actions, and the operators that say so.
    Folded,
}

impl Pattern {
    /// Reads a pattern; a variable that the stand-in does not know is an error, never an empty text.
    pub(crate) fn read(text: &str, syntax: Syntax) -> Result<Self, String> {
        let (wild, variables) = match syntax {
            Syntax::Wildcards { variables } => (true, variables),
            Syntax::Words { variables } => (false, variables),
        };
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            if let Some(inside) = rest.strip_prefix("${").filter(|_| variables) {
                let (name, after) =
                    inside.split_once('}').ok_or_else(|| format!("the variable in {text:?} has no end"))?;
                pieces.push(variable(name)?);
                rest = after;
                continue;
            }
            pieces.push(match first {
                '*' if wild => Piece::Any,
                '?' if wild => Piece::One,
                other => Piece::Literal(other),
            });
            rest = rest.strip_prefix(first).unwrap_or_default();
        }
        Ok(Self(pieces))
    }

    /// Whether `text` fits. A variable without a value in `context` fits nothing.
    pub(crate) fn fits(&self, text: &str, case: Case, context: &Context) -> bool {
        let mut pieces = Vec::with_capacity(self.0.len());
        for piece in &self.0 {
            match piece {
                Piece::Variable(key) => match context.fact(key) {
                    // Filled in as literals: a user called `*` is not everybody.
                    Some(value) => pieces.extend(value.chars().map(Piece::Literal)),
                    None => return false,
                },
                other => pieces.push(other.clone()),
            }
        }
        let text: Vec<char> = text.chars().collect();
        glob(&pieces, &text, case)
    }
}

fn variable(name: &str) -> Result<Piece, String> {
    let mut letters = name.chars();
    match (letters.next(), letters.next()) {
        // `${*}`, `${?}` and `${$}` stand for the signs themselves.
        (Some(sign @ ('*' | '?' | '$')), None) => Ok(Piece::Literal(sign)),
        _ => Key::read(name).map(Piece::Variable).map_err(|_| format!("unknown variable ${{{name}}}")),
    }
}

fn glob(pattern: &[Piece], text: &[char], case: Case) -> bool {
    let Some((piece, others)) = pattern.split_first() else {
        return text.is_empty();
    };
    match (piece, text.split_first()) {
        (Piece::Any, None) => glob(others, text, case),
        (Piece::Any, Some((_, left))) => glob(others, text, case) || glob(pattern, left, case),
        (Piece::One, Some((_, left))) => glob(others, left, case),
        (Piece::Literal(wanted), Some((found, left))) => {
            same(*wanted, *found, case) && glob(others, left, case)
        }
        _ => false,
    }
}

fn same(one: char, other: char, case: Case) -> bool {
    match case {
        Case::Exact => one == other,
        Case::Folded => one.to_lowercase().eq(other.to_lowercase()),
    }
}
