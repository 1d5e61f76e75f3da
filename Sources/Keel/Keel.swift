/// One import for the whole library: devices, tensors, networks, data and training.
@_exported public import KeelAutograd
@_exported public import KeelBackend
@_exported public import KeelData
@_exported public import KeelNN
@_exported public import KeelStability
@_exported public import KeelTraining
