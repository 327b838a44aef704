//! For authors of drivers: a trait, a macro and a conformance kit.
//!
//! A driver implements [`Driver`] over plain data and hands it to [`export_driver!`]. It is ordinary Rust that can be
//! tested natively; built for `wasm32-unknown-unknown`, the macro makes it the component that the contract describes.
//!
//! Invariants of this crate:
//! - The types are those of the contract, one to one; it knows neither Kubernetes nor the application model.
//! - Nothing but the `component` module depends on the target that is built for.

#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod component;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod log;
mod types;

pub use types::{
    ApplyMode, Description, Diagnostic, DriverError, Health, HealthItem, HealthState, Manifest, ObjectRef, Observed,
    RenderRequest, Rendered, Severity, Target,
};

/// What a driver does. See the contract for what each function must hold.
///
/// The functions have no state: each call is made to a fresh instance, and the same input gives the same output.
pub trait Driver {
    /// Says who the driver is.
    fn describe() -> Description;

    /// Says what is wrong with a configuration, which is JSON text; without an error, it is accepted.
    fn check_config(config: &str) -> Vec<Diagnostic>;

    /// Makes the Kubernetes objects of an application.
    fn render(request: &RenderRequest) -> Result<Rendered, DriverError>;

    /// Judges live objects.
    fn assess(target: &Target, objects: &[Observed]) -> Health;

    /// The reference under which this cluster should pull an image; none: leave it as it is.
    fn rewrite_image(target: &Target, image: &str) -> Option<String> {
        let _ = (target, image);
        None
    }
}

/// Makes a [`Driver`] the exports of a component. It does nothing when built for another target than WebAssembly.
#[macro_export]
macro_rules! export_driver {
    ($driver:ty) => {
        #[cfg(target_arch = "wasm32")]
        #[expect(unsafe_code, reason = "the exports of a component are C functions over raw memory, generated")]
        const _: () = {
            type Component = $crate::component::Exported<$driver>;
    $crate::component::export!(Component with_types_in $crate::component::bindings);
        };
    };
}
