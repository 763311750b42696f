"""Selective Synaptic Dampening as pure numerics: no records, no queue, no files.

Selective Synaptic Dampening (arXiv 2308.07707), with the corrections of `docs/design.md`:

    sums        F[w]  =  Σ over samples of |∂ loss / ∂ w|ᵖ          at the base weights
    importance  I[w]  =  F[w] / number of samples
    retain      F_r   =  F_full − F_f                               exact, clamped at 0
    selected    where I_f > α · I_r
    factor      β     =  min(λ · I_r / I_f, 1) where selected, else 1
    new weight        =  base weight · min over cohorts of β

Which loss and which power p (2, or 1 where sums are label-free) is the estimator's to say.
"""
