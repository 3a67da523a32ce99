//! Looks at the `Date` of every answer, since a clock that is a little off breaks codes long before signatures.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use aws_smithy_async::time::{SharedTimeSource, TimeSource};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;

use super::fault::{Skew, skew};

/// A clock that shows AWS's time.
#[derive(Debug)]
struct Corrected {
    clock: SharedTimeSource,
    skew: Skew,
}

impl TimeSource for Corrected {
    fn now(&self) -> SystemTime {
        self.skew.corrected(self.clock.now())
    }
}

impl Skew {
    /// A clock that shows AWS's time, made from the one that is off.
    pub fn mend(self, clock: SharedTimeSource) -> SharedTimeSource {
        SharedTimeSource::new(Corrected { clock, skew: self })
    }
}

/// Remembers how far the last answer's `Date` was from this clock.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    clock: SharedTimeSource,
    seen: Arc<Mutex<Option<Skew>>>,
}

impl Watch {
    pub(super) fn new(clock: SharedTimeSource) -> Self {
        Self { clock, seen: Arc::default() }
    }

    pub(super) fn last(&self) -> Option<Skew> {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[dyn_dispatch_hint]
impl Intercept for Watch {
    fn name(&self) -> &'static str {
        "Watch"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let seen = skew(context.response(), self.clock.now());
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = seen;
        Ok(())
    }
}
