internal import CKeelLoops
package import KeelBackend

extension CPUBackend: PointwiseBackend {
  package func pointwise(
    _ expression: Expression, _ inputs: [NDArray], into out: NDArray
  ) throws(DeviceError) {
    countLaunch()
    guard out.count > 0 else { return }
    let plan = pointwisePlans.plan(expression)
    var call = keel_pointwise()
    call.out = out.floats
    call.describe(Array(inputs.prefix(plan.inputCount)), broadcastTo: out.shape)
    plan.withInstructions { steps, parameters in
      call.steps = steps.baseAddress
      call.step_count = steps.count
      call.parameters = parameters.baseAddress
      call.parameter_count = parameters.count
      let slots = plan.slotCount * KEEL_POINTWISE_BLOCK
      withUnsafePointer(to: call) { call in
        inParts(of: partSize, out.count) { begin, end in
          withUnsafeTemporaryAllocation(of: Float.self, capacity: max(1, slots)) { scratch in
            guard let scratch = scratch.baseAddress else { return }
            keel_pointwise_run(call, begin, end, scratch)
          }
        }
      }
    }
  }
}

extension keel_pointwise {
  /// Fills in the inputs and the axes over which they are walked, as few as possible.
  fileprivate mutating func describe(_ arrays: [NDArray], broadcastTo shape: Shape) {
    var extents: [Int] = [shape.count]
    var strides: [[Int]] = arrays.map { [$0.count == 1 ? 0 : 1] }
    if arrays.contains(where: { $0.count != 1 && $0.count != shape.count }) {
      (extents, strides) = mergingAxes(
        shape.extents, arrays.map { $0.shape.broadcastStrides(to: shape) })
    }
    store(extents, in: &self.extents)
    rank = extents.count
    input_count = arrays.count
    let inputs = arrays.indices.map { position in
      var input = keel_pointwise_input()
      input.data = UnsafeRawPointer(arrays[position].pointer(as: UInt8.self))
      input.dtype = arrays[position].dtype.code
      // Broadcasting only stretches: equal counts mean equal elements in equal order.
      input.dense = arrays[position].count == shape.count
      input.uniform = arrays[position].count == 1 && !input.dense
      store(strides[position], in: &input.strides)
      return input
    }
    store(inputs, in: &self.inputs)
  }
}

/// Drops axes of extent 1 and merges neighbours that every array walks as one; at least one axis
/// remains.
func mergingAxes(_ extents: [Int], _ strides: [[Int]]) -> (extents: [Int], strides: [[Int]]) {
  var merged: [Int] = []
  var mergedStrides = strides.map { _ in [Int]() }
  for axis in extents.indices where extents[axis] != 1 {
    let last = merged.count - 1
    let joins =
      last >= 0
      && strides.indices.allSatisfy {
        mergedStrides[$0][last] == strides[$0][axis] * extents[axis]
      }
    if joins {
      merged[last] *= extents[axis]
      for array in strides.indices { mergedStrides[array][last] = strides[array][axis] }
    } else {
      merged.append(extents[axis])
      for array in strides.indices { mergedStrides[array].append(strides[array][axis]) }
    }
  }
  return merged.isEmpty ? ([1], strides.map { _ in [0] }) : (merged, mergedStrides)
}

extension DType {
  fileprivate var code: Int32 {
    switch self {
    case .float32: Int32(bitPattern: KEEL_FLOAT32.rawValue)
    case .int32: Int32(bitPattern: KEEL_INT32.rawValue)
    case .uint8: Int32(bitPattern: KEEL_UINT8.rawValue)
    case .float16, .bfloat16: preconditionFailure("arrives as float32")
    }
  }
}
