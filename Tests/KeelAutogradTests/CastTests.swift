import KeelAutograd
import KeelBackend
import Testing

/// Tensors whose elements have 16 bits, on the tape.
@Suite struct CastTests {
  @Test func aCastRoundsAndItsGradientComesBack() throws {
    let (device, backend) = referenceDevice()
    let x = try Tensor([1.01, -3.3, 70000], shape: [3], on: device)
    var kept: [DType] = []
    let (_, gradients) = try valueAndGradient(at: [x]) { () throws(TensorError) in
      let half = try x.cast(to: .float16)
      kept.append(half.dtype)
      return try (half * 3).sum()
    }
    #expect(kept == [.float16])
    #expect(try gradients[0].scalars() == [3, 3, 3])
    #expect(gradients[0].dtype == .float32)
    #expect(try x.cast(to: .float16).scalars() == [0x1.028p0, -0x1.a68p1, .infinity])
    #expect(try x.cast(to: .bfloat16).scalars() == [0x1.02p0, -0x1.a6p1, 0x1.12p16])
    #expect(try x.cast(to: .float32) === x)
    backend.record()
    _ = try x.cast(to: .bfloat16).cast(to: .float16)
    #expect(backend.calls == ["convert", "convert", "convert"])
  }

  /// Gradients between 16-bit tensors have 16 bits: 1 + 2^-9 does not survive on its way.
  @Test func gradientsOnTheirWayHaveTheTypeOfTheirTensor() throws {
    let (device, _) = referenceDevice()
    let x = try Tensor([1], shape: [1], on: device)
    let scale = try Tensor([1 + 0x1p-9], shape: [1], on: device)
    func slope(_ dtype: DType) throws -> Float {
      try valueAndGradient(at: [x]) { () throws(TensorError) in
        try (x.cast(to: dtype) * 1).cast(to: .float32) * scale
      }.gradients[0].item()
    }
    #expect(try slope(.float32) == 1 + 0x1p-9)
    #expect(try slope(.bfloat16) == 1)
    #expect(try slope(.float16) == 1 + 0x1p-9)
  }

  @Test func operandsOfTheResultsSizeDecideItsType() throws {
    let (device, _) = referenceDevice()
    let wide = try Tensor.ones([2, 3], on: device)
    let half = try wide.cast(to: .bfloat16)
    let row = try Tensor.ones([3], on: device)
    #expect(try (half + row).dtype == .bfloat16)
    #expect(try (half * 2).relu().dtype == .bfloat16)
    #expect(try (half + wide).dtype == .float32)
    #expect(try (half + wide.cast(to: .float16)).dtype == .float32)
    #expect(try half.sum().dtype == .float32)
    #expect(try half.softmax().dtype == .float32)
    let weight = try Tensor.ones([3, 4], on: device)
    #expect(
      try half.dense(weight.cast(to: .bfloat16), bias: Tensor.ones([4], on: device)).dtype
        == .bfloat16)
    #expect(try half.matmul(weight).dtype == .float32)
    #expect(try half.matmul(weight.cast(to: .bfloat16)).dtype == .bfloat16)
    #expect(try Tensor.concatenate([half, half], axis: 0).dtype == .bfloat16)
    #expect(try Tensor.concatenate([half, wide], axis: 0).dtype == .float32)
    #expect(try half.transposed().dtype == .bfloat16)
    #expect(try half.argmax().dtype == .int32)
    #expect(try half.padded([(1, 0), (0, 0)]).scalars() == [0, 0, 0, 1, 1, 1, 1, 1, 1])
  }

  /// What is computed from a stand-in sends its gradient to the leaf, in float32 and added up.
  @Test func aStandInSendsItsGradientToTheLeaf() throws {
    let (device, backend) = referenceDevice()
    let leaf = try Tensor([3, 5], shape: [1, 2], on: device, requiresGradient: true)
    let memory = try backend.allocate([1, 2], .bfloat16)
    try backend.convert(leaf.value, into: memory)
    let half = leaf.standIn(memory)
    let x = try Tensor([1 + 0x1p-7, 1], shape: [2, 1], on: device)
    let destination = try backend.allocate([1, 2], .float32)
    var asked = 0
    try (x.cast(to: .bfloat16).matmul(half).sum() + (leaf * leaf).sum()).backward { tensor in
      asked += 1
      return tensor === leaf ? destination : nil
    }
    #expect(asked == 1)
    // 2 + 2^-7 needs more than the eight bits of a bfloat16.
    #expect(try backend.scalars(destination) == [Float(2 + 0x1p-7 + 6), 2 + 0x1p-7 + 10])
    #expect(!leaf.detached().standIn(memory).requiresGradient)
  }

  /// Float32 copies last as long as the operation.
  @Test func nothingWideSurvivesAnOperation() throws {
    let (device, _) = referenceDevice()
    let x = try Tensor.ones([64, 64], on: device).cast(to: .bfloat16)
    let before = device.counters.liveBytes
    let y = try (x * 2).exp()
    #expect(device.counters.liveBytes - before == 2 * 64 * 64)
    #expect(y.dtype == .bfloat16)
  }
}
