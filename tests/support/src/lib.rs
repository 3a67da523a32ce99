//! The bench that the stories run on.
