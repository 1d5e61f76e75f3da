import KeelAutograd
import KeelBackend
import Testing

/// A fresh device that writes down what it does.
func referenceDevice() -> (Device, ReferenceBackend) {
  let backend = ReferenceBackend()
  return (Device(backend), backend)
}

@Suite struct TapeTests {
  @Test func aTensorThatIsUsedTwiceGetsBothContributions() throws {
    let (device, _) = referenceDevice()
    let x = try Tensor([2, 3], shape: [2], on: device)
    let (value, gradients) = try valueAndGradient(at: [x]) { () throws(TensorError) in
      let square = try x * x
      return try (square + x + x.exp() * square).sum()
    }
    let expected = try (x * x + x + x.exp() * x * x).sum().item()
    #expect(try abs(value.item() - expected) < 1e-4)
    let found = try gradients[0].scalars()
    for (x, g) in zip([Float(2), 3], found) {
      let exponential = try Tensor(x, on: device).exp().item()
      let exact = 2 * x + 1 + exponential * (x * x + 2 * x)
      #expect(abs(g - exact) < 1e-4 * exact)
    }
  }

  @Test func oneNodeMayPassAndComputeForTheSameLeaf() throws {
    let (device, _) = referenceDevice()
    let x = try Tensor([2, 3], shape: [2], on: device)
    let (_, gradients) = try valueAndGradient(at: [x]) { () throws(TensorError) in
      try pointwise(.x + .y * .y * .z, [x, x, x]).sum()
    }
    #expect(try gradients[0].scalars() == [1 + 12, 1 + 27])
  }

  @Test func nothingIsRecordedWithoutALeaf() throws {
    let (device, _) = referenceDevice()
    let x = try Tensor([1, 2, 3, 4], shape: [2, 2], on: device)
    #expect(try !x.matmul(x).relu().sum().requiresGradient)
    let leaf = try Tensor([1, 2], shape: [2], on: device, requiresGradient: true)
    #expect(try (leaf * 2).requiresGradient)
    #expect(try !(leaf.detached() * 2).requiresGradient)
    #expect(try !leaf.greater(1).requiresGradient)
    #expect(try !leaf.argmax().requiresGradient)
    #expect(throws: TensorError.self) { try x.sum().backward { _ in nil } }
  }

  @Test func theFirstContributionIsWrittenToItsDestination() throws {
    let (device, backend) = referenceDevice()
    let x = try Tensor([1, 2, 3, 4, 5, 6], shape: [3, 2], on: device)
    let weight = try Tensor([1, 2, 3, 4], shape: [2, 2], on: device, requiresGradient: true)
    let bias = try Tensor([1, -1], shape: [2], on: device, requiresGradient: true)
    let arena = try backend.allocate([256], .float32)
    let slices = [
      ObjectIdentifier(weight): arena.view(offset: 0, shape: [2, 2]),
      ObjectIdentifier(bias): arena.view(offset: 128, shape: [2]),
    ]
    let loss = try x.dense(weight, bias: bias, activation: .relu).sum()
    backend.record()
    var asked = 0
    try loss.backward { leaf in
      asked += 1
      return slices[ObjectIdentifier(leaf)]
    }
    #expect(asked == 2)
    // The seed, the sum's gradient, bias and activation, the weight: and no input gradient.
    #expect(backend.calls == ["fill", "pointwise", "biasActivationGradient", "matmul"])
    for slice in slices.values {
      #expect(backend.destinations.filter { $0.isSameMemory(as: slice) }.count == 1)
    }
    #expect(backend.counters.blockingReads == 0)
    #expect(backend.read(arena.view(offset: 0, shape: [4])) == [9, 9, 12, 12])
    #expect(backend.read(arena.view(offset: 128, shape: [2])) == [3, 3])
  }

  @Test func accumulationAddsToWhatIsThere() throws {
    let (device, backend) = referenceDevice()
    let x = try Tensor([1, 2], shape: [2], on: device, requiresGradient: true)
    let gradient = try backend.array([10, 20] as [Float], shape: [2])
    let loss = try (x * 3).sum()
    try loss.backward(accumulate: true) { _ in gradient }
    #expect(backend.read(gradient) == [13, 23])
    try loss.backward(seed: 0.5, accumulate: true) { _ in gradient }
    #expect(backend.read(gradient) == [14.5, 24.5])
    try loss.backward { _ in gradient }
    #expect(backend.read(gradient) == [3, 3])
    let shared = try (x * x + x).sum()
    try shared.backward(accumulate: true) { _ in gradient }
    #expect(backend.read(gradient) == [6, 8])
  }

  /// Nothing flows through a tensor without elements, but its leaves were asked for a destination:
  /// what an earlier pass left there must go.
  @Test func aLeafBehindAnEmptyTensorGetsZero() throws {
    let (device, backend) = referenceDevice()
    let x = try Tensor([1, 2, 3, 4], shape: [2, 2], on: device, requiresGradient: true)
    let y = try Tensor([5, 6], shape: [2], on: device, requiresGradient: true)
    let slices = [
      ObjectIdentifier(x): try backend.array([9, 9, 9, 9] as [Float], shape: [2, 2]),
      ObjectIdentifier(y): try backend.array([8, 8] as [Float], shape: [2]),
    ]
    func gradients() -> [[Double]] {
      [x, y].map { leaf in slices[ObjectIdentifier(leaf)].map { backend.read($0) } ?? [] }
    }
    let empty = try (x * 3).sliced([0..<0, 0..<2])
    let loss = try Tensor.concatenate([empty, (y * 2).reshaped([1, 2])], axis: 0).sum()
    var asked = 0
    try loss.backward(accumulate: true) { leaf in
      asked += 1
      return slices[ObjectIdentifier(leaf)]
    }
    #expect(asked == 2)
    #expect(gradients() == [[9, 9, 9, 9], [10, 10]])
    try loss.backward { slices[ObjectIdentifier($0)] }
    #expect(gradients() == [[0, 0, 0, 0], [2, 2]])
    // The whole value comes from nothing.
    try backend.fill(try #require(slices[ObjectIdentifier(x)]), with: .nan)
    let constant = try Tensor([1, 1], shape: [1, 2], on: device)
    let nothing = try Tensor.concatenate([empty, constant], axis: 0).sum()
    try nothing.backward { slices[ObjectIdentifier($0)] }
    #expect(gradients()[0] == [0, 0, 0, 0])
    // A leaf that is reached another way too keeps that contribution alone.
    try (nothing + x.sum()).backward { slices[ObjectIdentifier($0)] }
    #expect(gradients()[0] == [1, 1, 1, 1])
    let (_, found) = try valueAndGradient(at: [x]) { () throws(TensorError) in
      try Tensor.concatenate([x.sliced([1..<1, 0..<2]).exp(), constant], axis: 0).sum()
    }
    #expect(try found[0].scalars() == [0, 0, 0, 0])
  }

  @Test func unwantedLeavesCostNothing() throws {
    let (device, backend) = referenceDevice()
    let x = try Tensor([1, 2, 3, 4], shape: [2, 2], on: device, requiresGradient: true)
    let weight = try Tensor([1, 2, 3, 4], shape: [2, 2], on: device, requiresGradient: true)
    let loss = try x.exp().matmul(weight).sum()
    let gradient = try backend.allocate([2, 2], .float32)
    backend.record()
    try loss.backward { $0 === weight ? gradient : nil }
    #expect(backend.calls == ["fill", "pointwise", "matmul"])
    backend.record()
    try loss.backward { _ in nil }
    #expect(!backend.calls.contains("matmul"))
  }

  @Test func reshapingCopiesNothingInEitherDirection() throws {
    let (device, backend) = referenceDevice()
    let x = try Tensor([1, 2, 3, 4], shape: [2, 2], on: device, requiresGradient: true)
    let gradient = try backend.allocate([2, 2], .float32)
    let square = try x * x
    backend.record()
    let y = try square.reshaped([4]).reshaped([1, 4]).flattened(fromAxis: 0)
    #expect(backend.calls.isEmpty)
    try y.sum().backward { _ in gradient }
    #expect(backend.calls == ["reduce", "fill", "pointwise", "pointwise"])
    #expect(backend.read(gradient) == [2, 4, 6, 8])
  }

  @Test func sharedUpstreamGradientsAreNotOverwritten() throws {
    let (device, _) = referenceDevice()
    let x = try Tensor([1, 2], shape: [2], on: device)
    let y = try Tensor([5, 7], shape: [2], on: device)
    // The gradient of the sum passes to both branches; the left one then gets more.
    let (_, gradients) = try valueAndGradient(at: [x, y]) { () throws(TensorError) in
      let (a, b) = (try x * 1, try y * 1)
      return try ((a + b) * 2 + a * 10).sum()
    }
    #expect(try gradients[0].scalars() == [12, 12])
    #expect(try gradients[1].scalars() == [2, 2])
  }

  @Test func workInPlaceSparesWhatOthersRead() throws {
    let (device, _) = referenceDevice()
    let x = try Tensor([1, -2], shape: [1, 2], on: device)
    let y = try Tensor([5, 7], shape: [1, 2], on: device)
    let identity = try Tensor([1, 0, 0, 1], shape: [2, 2], on: device)
    // One gradient passes to both branches; the activation's pullback works in its memory.
    for flipped in [false, true] {
      let (_, gradients) = try valueAndGradient(at: [x, y]) { () throws(TensorError) in
        let a = try x.dense(identity, activation: .relu)
        let b = try y * 1
        return try ((flipped ? b + a : a + b) * 2).sum()
      }
      #expect(try gradients[0].scalars() == [2, 0])
      #expect(try gradients[1].scalars() == [2, 2])
    }
  }

  @Test func aChainOfManyNodesIsReleasedAndPulledWithoutRecursion() throws {
    let (device, backend) = referenceDevice()
    let x = try Tensor([1], shape: [1], on: device)
    let live = backend.counters.liveBytes
    do {
      let (_, gradients) = try valueAndGradient(at: [x]) { () throws(TensorError) in
        var y = x
        for _ in 0..<100_000 { y = try y + 1 }
        return try y.sum()
      }
      #expect(try gradients[0].scalars() == [1])
    }
    #expect(backend.counters.liveBytes == live)
  }

  @Test func aGraphThatWasGivenUpRefusesASecondPass() throws {
    let (device, backend) = referenceDevice()
    let x = try Tensor([1, 2], shape: [2], on: device, requiresGradient: true)
    let gradient = try backend.allocate([2], .float32)
    let loss = try (x * x).sum()
    try loss.backward(keepsGraph: false) { _ in gradient }
    #expect(backend.read(gradient) == [2, 4])
    #expect(throws: TensorError.self) {
      try loss.backward(keepsGraph: false) { _ in gradient }
    }
  }

  @Test func gradientsAreFreedAsSoonAsTheyAreConsumed() throws {
    let (device, backend) = referenceDevice()
    let count = 1000
    let x = try Tensor.full([count], 0.5, on: device)
    var peaks: [Int] = []
    for length in [4, 40] {
      var y = Tensor(value: x.value, device: device, requiresGradient: true)
      for _ in 0..<length { y = try y.exp() }
      let loss = try y.sum()
      let gradient = try backend.allocate([count], .float32)
      let before = backend.counters.liveBytes
      try loss.backward { _ in gradient }
      peaks.append(backend.counters.peakBytes - before)
      #expect(backend.counters.liveBytes == before)
    }
    #expect(peaks[1] <= 3 * count * 4)
  }
}

@Suite struct ValueAndGradientTests {
  @Test func unreachedTensorsGetZeros() throws {
    let (device, _) = referenceDevice()
    let x = try Tensor([1, 2], shape: [2], on: device)
    let y = try Tensor([3, 4, 5], shape: [3], on: device)
    let (_, gradients) = try valueAndGradient(at: [x, y]) { () throws(TensorError) in
      try x.sum()
    }
    #expect(try gradients[0].scalars() == [1, 1])
    #expect(try gradients[1].scalars() == [0, 0, 0])
    let (_, none) = try valueAndGradient(at: [x]) { () throws(TensorError) in try y.sum() }
    #expect(try none[0].scalars() == [0, 0])
  }

  @Test func intermediateTensorsCountAsLeavesInside() throws {
    let (device, _) = referenceDevice()
    let x = try Tensor([1, 2], shape: [2], on: device, requiresGradient: true)
    let y = try x * 3
    let (_, gradients) = try valueAndGradient(at: [y, y]) { () throws(TensorError) in
      try (y * y).sum()
    }
    #expect(try gradients[0].scalars() == [6, 12])
    #expect(try gradients[1].scalars() == [6, 12])
    let (_, outer) = try valueAndGradient(at: [x]) { () throws(TensorError) in
      try (x * 3).sum()
    }
    #expect(try outer[0].scalars() == [3, 3])
    #expect(y.requiresGradient)
  }

  @Test func aFailureLeavesTheTensorsAsTheyWere() throws {
    let (device, _) = referenceDevice()
    let x = try Tensor([1, 2], shape: [2], on: device)
    #expect(throws: TensorError.self) {
      try valueAndGradient(at: [x]) { () throws(TensorError) in try x.matmul(x) }
    }
    #expect(!x.requiresGradient)
    #expect(throws: TensorError.self) {
      try valueAndGradient(at: [x]) { () throws(TensorError) in try x * 2 }
    }
    let labels = try Tensor([1, 2] as [Int32], shape: [2], on: device)
    #expect(throws: TensorError.self) {
      try valueAndGradient(at: [labels]) { () throws(TensorError) in try x.sum() }
    }
  }

  @Test func theValueItselfMayBeTheLeaf() throws {
    let (device, _) = referenceDevice()
    let x = try Tensor(3, on: device)
    let (value, gradients) = try valueAndGradient(at: [x]) { () throws(TensorError) in x }
    #expect(try value.item() == 3)
    #expect(try gradients[0].item() == 1)
  }

  @Test func emptyTensorsFlowThrough() throws {
    let (device, _) = referenceDevice()
    let x = try Tensor([1, 2, 3, 4], shape: [2, 2], on: device)
    let nothing = try Tensor.zeros([0, 2], on: device)
    #expect(try nothing.scalars().isEmpty)
    let (_, gradients) = try valueAndGradient(at: [x, nothing]) { () throws(TensorError) in
      let rows = try nothing.matmul(x).relu()
      return try Tensor.concatenate([rows, x], axis: 0).sum()
    }
    #expect(try gradients[0].scalars() == [1, 1, 1, 1])
    #expect(gradients[1].shape == [0, 2])
  }
}
