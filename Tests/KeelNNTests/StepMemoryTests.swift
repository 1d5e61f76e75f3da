import Keel
import KeelAutograd
import KeelBackend
import KeelNN
import Synchronization
import Testing

/// A device that knows how many large arrays the tape holds, and counts what is asked of it.
private final class WatchedBackend: InterceptingBackend {
  static let large = 8 << 20

  let inner: any Backend
  private let state = Mutex(State())

  private struct Large: Sendable {
    weak var storage: (any Storage)?
  }

  private struct State: Sendable {
    var arrays: [Large] = []
    var most = 0
    var calls: [String: Int] = [:]
    var live: Int { arrays.reduce(0) { $0 + ($1.storage == nil ? 0 : 1) } }
  }

  init(_ device: Device) { inner = device.backend }

  /// Arrays of 8 MiB or more that are there now.
  var live: Int { state.withLock { $0.live } }
  /// The most that were there at a time.
  var most: Int { state.withLock { $0.most } }
  /// All that ever were.
  var made: Int { state.withLock { $0.arrays.count } }

  func calls(_ method: String) -> Int { state.withLock { $0.calls[method, default: 0] } }

  func allocate(_ shape: Shape, _ dtype: DType) throws(DeviceError) -> NDArray {
    let array = try inner.allocate(shape, dtype)
    guard array.byteCount >= WatchedBackend.large else { return array }
    state.withLock { state in
      state.arrays.append(Large(storage: array.storage))
      state.most = max(state.most, state.live)
    }
    return array
  }

  func intercept(
    _ operation: OperationName, method: String, inputs: [NDArray], outputs: [NDArray],
    _ body: DeviceCall
  ) throws(DeviceError) {
    state.withLock { $0.calls[String(method.prefix { $0 != "(" }), default: 0] += 1 }
    try body(inner, inputs, outputs)
  }
}

/// What a step keeps between the way forward and the way back, in arrays of the size of its images:
/// exactly 8 MiB here.
@Suite struct StepMemoryTests {
  private static let images: Shape = [8, 64, 64, 64]

  private func watched(_ device: Device) -> (Device, WatchedBackend) {
    let backend = WatchedBackend(device)
    return (Device(backend), backend)
  }

  private func random(
    _ shape: Shape, _ seed: UInt64, _ device: Device
  ) throws(TensorError) -> Tensor {
    try .random(
      .uniform(low: -0.3, high: 0.5), shape: shape, key: RandomKey(seed: seed, .user), on: device)
  }

  /// A leaf for each convolution's filter.
  private func filters(_ count: Int, _ device: Device) throws -> [Tensor] {
    try (0..<count).map { number in
      let filter = try random([1, 1, 64, 64], UInt64(number + 7), device)
      return Tensor(value: filter.value, device: device, requiresGradient: true)
    }
  }

  private func squares(_ x: Tensor) throws(TensorError) -> Tensor {
    try pointwise(.x * .x, [x]).sum()
  }

  private func normalized(
    _ z: Tensor, adding other: Tensor? = nil, _ activation: Activation
  ) throws(TensorError) -> Tensor {
    let device = z.device
    func vector(_ value: Float, isLeaf: Bool) throws(TensorError) -> Tensor {
      try Tensor(
        [Float](repeating: value, count: 64), shape: [64], on: device, requiresGradient: isLeaf)
    }
    return try z.batchNormalization(
      gamma: vector(1.25, isLeaf: true), beta: vector(0.125, isLeaf: true),
      runningMean: vector(0, isLeaf: false), runningVariance: vector(1, isLeaf: false),
      momentum: 0.9, epsilon: 1e-3, adding: other, activation: activation)
  }

  private func gradients(_ loss: Tensor, _ leaves: [Tensor]) throws -> [[Float]] {
    var arrays: [NDArray] = []
    for leaf in leaves { arrays.append(try loss.device.backend.allocate(leaf.shape, .float32)) }
    try loss.backward(keepsGraph: false) { leaf in
      leaves.firstIndex { $0 === leaf }.map { arrays[$0] }
    }
    return try arrays.map { try loss.device.backend.scalars($0) }
  }

  /// Of a convolution, a normalisation and a convolution the input and the first result are kept:
  /// what is normalised is made again when the second filter's gradient reads it. Where somebody
  /// holds it, it is read; the gradients are the same bits.
  @Test(arguments: TestDevices.all, [Activation.identity, .relu, .elu(alpha: 0.5)])
  func aNormalisedResultIsMadeAgain(_ device: Device, activation: Activation) throws {
    func run(holds: Bool) throws -> (live: Int, remade: Int, gradients: [[Float]]) {
      let (device, backend) = watched(device)
      let leaves = try filters(2, device)
      let x = try random(Self.images, 1, device)
      var held: Tensor?
      let loss = try {
        let y = try normalized(try x.convolution2D(leaves[0]), activation)
        if holds { held = y }
        return try squares(try y.convolution2D(leaves[1]))
      }()
      let live = backend.live
      let found = try gradients(loss, leaves)
      withExtendedLifetime((x, held)) {}
      return (live, backend.calls("batchNormalizationOutput"), found)
    }
    let (remade, held) = (try run(holds: false), try run(holds: true))
    // The square keeps its operand.
    #expect(remade.live == 3)
    #expect(held.live == 4)
    #expect(remade.remade == 1)
    #expect(held.remade == 0)
    #expect(remade.gradients == held.gradients)
    #expect(remade.gradients.allSatisfy { $0.contains { $0 != 0 } })
  }

  /// relu(a + b) needs neither a nor b on the way back, and both gradients are one pass in place.
  @Test(arguments: TestDevices.all)
  func aSumKeepsItsResultAlone(_ device: Device) throws {
    let (watchedDevice, backend) = watched(device)
    let leaves = try filters(3, watchedDevice)
    let x = try random(Self.images, 1, watchedDevice)
    let loss = try {
      let (a, b) = (try x.convolution2D(leaves[0]), try x.convolution2D(leaves[1]))
      return try a.adding(b, activation: .relu).convolution2D(leaves[2]).sum()
    }()
    #expect(backend.live == 2)
    let made = backend.made
    let found = try gradients(loss, leaves)
    // The gradients of the last convolution's result and of its input.
    #expect(backend.made - made == 2)
    withExtendedLifetime(x) {}

    let (other, _) = watched(device)
    let same = try filters(3, other)
    let y = try random(Self.images, 1, other)
    let formula = Activation.relu.expression
    let sum = try y.convolution2D(same[0]) + y.convolution2D(same[1])
    let expected = try gradients(
      try pointwise(formula, [sum]).convolution2D(same[2]).sum(), same)
    #expect(found == expected)
  }

  /// A residual block's end as one operation gives the bits of two: forward, and backward where two
  /// gradients arrive that are added as the activation is taken off.
  @Test(arguments: TestDevices.all, [Activation.relu, .leakyRelu(slope: 0.25), .tanh])
  func theEndOfABlockIsOneLaunch(_ device: Device, activation: Activation) throws {
    func run(joined: Bool) throws -> (y: [Float], gradients: [[Float]], adds: Int) {
      let (device, backend) = watched(device)
      let leaves = try filters(4, device)
      let x = try random(Self.images, 1, device)
      let (z, other) = (try x.convolution2D(leaves[0]), try x.convolution2D(leaves[1]))
      let y =
        joined
        ? try normalized(z, adding: other, activation)
        : try pointwise(activation.expression, [try normalized(z, .identity) + other])
      let loss =
        try squares(try y.convolution2D(leaves[2]))
        + squares(try y.convolution2D(leaves[3]))
      let before = backend.calls("pointwise")
      let found = try gradients(loss, leaves)
      return (try y.scalars(), found, backend.calls("pointwise") - before)
    }
    let (one, two) = (try run(joined: true), try run(joined: false))
    #expect(one.y == two.y)
    #expect(one.gradients == two.gradients)
    #expect(one.gradients.allSatisfy { $0.contains { $0 != 0 } })
    // One that adds and takes off, in place of the sum and the two gradients of the activation.
    #expect(one.adds < two.adds)
  }

  /// The gradient of a normalisation takes the place of its output's.
  @Test(arguments: TestDevices.all)
  func gradientsTakeThePlaceOfThoseBefore(_ device: Device) throws {
    let (device, backend) = watched(device)
    let leaves = try filters(2, device)
    let x = try random(Self.images, 1, device)
    let loss = try normalized(try x.convolution2D(leaves[0]), .relu).tanh()
      .convolution2D(leaves[1]).sum()
    let made = backend.made
    let found = try gradients(loss, leaves)
    // Those of the last convolution's result and of its input; tanh and the normalisation write
    // over the latter.
    #expect(backend.made - made == 2)
    #expect(found.allSatisfy { $0.contains { $0 != 0 } })
  }

  /// The most that a residual network holds follows from its shapes.
  @Test(arguments: TestDevices.all)
  func theMostOfAResidualNetwork(_ device: Device) throws {
    let (device, backend) = watched(device)
    func convolution(_ activation: Activation) -> [any Layer] {
      [Conv2D(64, kernel: 1, usesBias: false), BatchNorm(activation: activation)]
    }
    let block = { Residual(main: Sequential(convolution(.relu) + convolution(.identity))) }
    let model = try Model(
      Sequential(convolution(.relu) + [block(), block(), GlobalAvgPool2D(), Dense(2)]),
      input: [64, 64, 64], device: device, seed: 1)
    let x = try random(Self.images, 1, device)
    _ = try model.valueAndGradient { (pass) throws(TensorError) in
      try squares(try model(x, pass))
    }
    #expect(backend.live == 1)
    // The input, what each of the five convolutions gives, the sum of the first block; and at the
    // last convolution the gradient that waits for the sum, that of the result, that of the image
    // and the image, made again.
    #expect(backend.most == 1 + 5 + 1 + 4 - 1)
    withExtendedLifetime(x) {}
  }
}
