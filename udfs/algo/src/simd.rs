//! Kernels compiled once for each instruction set and chosen at run time.
//!
//! A kernel is plain Rust over fixed-size arrays; `pulp` compiles its body with AVX2, AVX-512 or NEON enabled, and the
//! compiler vectorises it. Every sum has the order that the source gives it and every fused multiply-add is written as
//! `mul_add`, so all variants, and all machines, give the same bits.

/// Defines a function whose body is compiled for each instruction set. One lifetime covers all borrowed arguments.
macro_rules! vectorised {
    (
        $(#[$meta:meta])*
        $visibility:vis fn $name:ident<$life:lifetime>($($argument:ident: $type:ty),* $(,)?) -> $output:ty
        $body:block
    ) => {
        $(#[$meta])*
        $visibility fn $name<$life>($($argument: $type),*) -> $output {
            struct Kernel<$life> {
                $($argument: $type,)*
            }
            impl<$life> pulp::NullaryFnOnce for Kernel<$life> {
                type Output = $output;

                #[inline(always)]
                fn call(self) -> $output {
                    let Self { $($argument),* } = self;
                    $body
                }
            }
            pulp::Arch::new().dispatch(Kernel { $($argument),* })
        }
    };
}

pub(crate) use vectorised;
