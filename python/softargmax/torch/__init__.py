"""Losses with temperature for torch: functions in `functional`, and modules; `sample` for tensors on the CPU.

For tensors on the CPU they run the Rust kernels on the tensor's own memory (float32, float64; float16 and bfloat16 are computed
in float32, from a copy), on any other device torch's operations of the same formulas, a chunk of rows at a time: the table of
similarities is never stored. Gradients, also in τ, are worked out together with the loss; there are no second derivatives.

On the CPU bad input is refused with a `softargmax.SoftargmaxError`. Elsewhere it makes the loss NaN, since to raise an error
the device would have to be waited for.
"""

from softargmax.torch import functional
from softargmax.torch.modules import (
    AdaCos,
    ArcFace,
    ClipLoss,
    CosFace,
    CrossEntropy,
    DecoupledDistillation,
    Distillation,
    InfoNCE,
    LogScale,
    MoCoLoss,
    NormFace,
    NTXent,
    SigLIP,
    SupCon,
)
from softargmax.torch.sampling import log_prob, probabilities, sample

__all__ = [
    "AdaCos",
    "ArcFace",
    "ClipLoss",
    "CosFace",
    "CrossEntropy",
    "DecoupledDistillation",
    "Distillation",
    "InfoNCE",
    "LogScale",
    "MoCoLoss",
    "NTXent",
    "NormFace",
    "SigLIP",
    "SupCon",
    "functional",
    "log_prob",
    "probabilities",
    "sample",
]
