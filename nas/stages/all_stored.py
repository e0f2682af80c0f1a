"""Every way in which a model file keeps a tensor that is not in float32."""

from nas.stages.coded import Clustered, Scaled, Sparse
from nas.stages.storage import Stored
from nas.stages.ternary_storage import Ternary

ALL_STORED: tuple[type[Stored], ...] = (Sparse, Clustered, Scaled, Ternary)
