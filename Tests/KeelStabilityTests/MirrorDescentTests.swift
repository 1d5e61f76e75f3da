import Glibc
import KeelAutograd
import KeelBackend
import KeelNN
import KeelStability
import Testing

/// The properties of mirror descent, map by map.
@Suite struct MirrorDescentTests {
  private static let maps: [MirrorMap] = [
    .euclidean, .power(q: 1.1), .power(q: 1.5), .power(q: 3), .power(q: 10), .entropy,
    .hypentropy(beta: 1e-6), .hypentropy(beta: 1), .hypentropy(beta: 1e6),
  ]

  private func rule(
    _ map: MirrorMap, optimistic: Bool = false, limit: Float = .infinity
  ) -> OptimizerRule { .mirror(map, optimistic: optimistic, stepLimit: limit) }

  /// The key test: the same weights as SGD, through the optimizers that users write.
  @Test(arguments: TestDevices.all, [0, 0.03] as [Float])
  func theEuclideanMapIsDescentBitForBit(_ device: Device, decay: Float) throws {
    var results: [[[UInt32]]] = []
    for optimizer in [
      Optimizer.sgd(learningRate: 0.1, weightDecay: decay),
      .mirrorDescent(map: .euclidean, learningRate: 0.1, weightDecay: decay),
      .mirrorDescent(map: .hypentropy(beta: 1), learningRate: 0.1, weightDecay: decay),
    ] {
      let network = Sequential {
        Dense(6, activation: .tanh)
        Dense(3)
      }
      let model = try Model(network, input: [4], device: device, seed: 21)
      let updater = try Updater(optimizer, for: model, clipGlobalNorm: 0.7)
      let x = try Tensor(numbers(32), shape: [8, 4], on: device)
      let labels = try Tensor((0..<8).map { Int32($0 % 3) }, shape: [8], on: device)
      for _ in 0..<5 {
        _ = try model.valueAndGradient { (pass) throws(TensorError) in
          try Loss.softmaxCrossEntropy()(model(x, pass), labels)
        }
        try updater.update()
      }
      results.append(try model.parameters.map { bits(try model.weights(named: $0.name)) })
    }
    #expect(results[0] == results[1])
    #expect(results[0] != results[2])
  }

  /// The map and back: at rate 0 nothing changes, over the whole range.
  @Test(arguments: TestDevices.all, maps)
  func theMapAndItsInverseAreTheIdentity(_ device: Device, map: MirrorMap) throws {
    let magnitudes: [Float] = [1e-30, 1e-12, 1e-4, 0.3, 1, 1.7, 12, 1e5, 1e12, 1e30]
    let values = magnitudes + magnitudes.map { -$0 } + [0]
    var bench = try ArenaBench(device, rule(map), values)
    try bench.step(numbers(values.count), rate: 0)
    #expect(bits(try bench.values()) == bits(values))
  }

  /// A step and the opposite step meet again, within 8 ulp of what the map's condition allows.
  @Test(arguments: TestDevices.all, maps)
  func oppositeStepsCancel(_ device: Device, map: MirrorMap) throws {
    let values = numbers(100, 0.8, 1.2)
    let g = numbers(100, seed: 5)
    var bench = try ArenaBench(device, rule(map), values)
    let rate: Float = map == .hypentropy(beta: 1e6) ? 1e-7 : 1e-3
    try bench.step(g, rate: rate)
    #expect(try bench.values() != values)
    try bench.step(g.map { -$0 }, rate: rate)
    for (i, back) in try bench.values().enumerated() {
      #expect(abs(back / values[i] - 1) <= 8 * Float.ulpOfOne, "\(map)")
    }
  }

  /// rate * (f(x) - f(u)) <= D(u, x) - D(u, x') + D(x, x') for a convex f and every u, D being the
  /// Bregman divergence of the map.
  @Test(arguments: TestDevices.all, maps.filter { $0 != .hypentropy(beta: 1e6) })
  func threePointInequality(_ device: Device, map: MirrorMap) throws {
    let center = numbers(20, 0.2, 1, seed: 2).map(Double.init)
    let curvature = numbers(20, 0.1, 2, seed: 3).map(Double.init)
    func value(_ x: [Double]) -> Double {
      x.indices.reduce(0) { $0 + curvature[$1] / 2 * (x[$1] - center[$1]) * (x[$1] - center[$1]) }
    }
    let rate: Float = 0.05
    var bench = try ArenaBench(device, rule(map), numbers(20, 0.3, 2, seed: 4))
    for step in 0..<5 {
      let x = try bench.values().map(Double.init)
      try bench.step(x.indices.map { Float(curvature[$0] * (x[$0] - center[$0])) }, rate: rate)
      let next = try bench.values().map(Double.init)
      for seed in 0..<5 as Range<UInt64> {
        let u = numbers(20, 0.01, 3, seed: 100 + seed).map(Double.init)
        let terms = [divergence(map, u, x), -divergence(map, u, next), divergence(map, x, next)]
        let left = Double(rate) * (value(x) - value(u))
        let slack = 1e-5 * terms.reduce(abs(left)) { $0 + abs($1) }
        #expect(left <= terms.reduce(0, +) + slack, "\(map), step \(step)")
      }
      // The map of q = 10 is flat at 0, where its steps are long.
      if map != .power(q: 10) { #expect(value(next) < value(x)) }
    }
  }

  private func divergence(_ map: MirrorMap, _ x: [Double], _ y: [Double]) -> Double {
    func potential(_ x: Double) -> Double {
      switch map {
      case .euclidean: x * x / 2
      case .power(let q): pow(abs(x), Double(q)) / Double(q)
      case .entropy: x * log(x) - x
      case .hypentropy(let beta):
        x * asinh(x / Double(beta)) - (x * x + Double(beta) * Double(beta)).squareRoot()
      }
    }
    func image(_ x: Double) -> Double {
      switch map {
      case .euclidean: x
      case .power(let q): (x < 0 ? -1 : 1) * pow(abs(x), Double(q) - 1)
      case .entropy: log(x)
      case .hypentropy(let beta): asinh(x / Double(beta))
      }
    }
    return x.indices.reduce(0) {
      $0 + potential(x[$1]) - potential(y[$1]) - image(y[$1]) * (x[$1] - y[$1])
    }
  }

  /// Of all solutions of 6 equations in 24 unknowns a map picks the one of its own smallest norm.
  @Test(arguments: TestDevices.all)
  func thePowerChoosesTheInterpolant(_ device: Device) throws {
    let (rows, columns) = (6, 24)
    let a = numbers(rows * columns, -1, 1, seed: 7).map(Double.init)
    var truth = [Double](repeating: 0, count: columns)
    (truth[2], truth[9], truth[17]) = (1.5, -1, 0.8)
    func residual(_ w: [Double]) -> [Double] {
      (0..<rows).map { row in
        (0..<columns).reduce(0) { $0 + a[row * columns + $1] * (w[$1] - truth[$1]) }
      }
    }
    func solve(_ q: Float, _ first: Float, _ last: Float, steps: Int) throws -> [Double] {
      var bench = try ArenaBench(device, rule(.power(q: q)), zeros(columns))
      for step in 0..<steps {
        let r = residual(try bench.values().map(Double.init))
        let g = (0..<columns).map { column in
          Float((0..<rows).reduce(0) { $0 + a[$1 * columns + column] * r[$1] })
        }
        // The map of q = 10 is flat at 0: parameters come to rest only as the rate falls.
        try bench.step(g, rate: first * powf(last / first, Float(step) / Float(steps)))
      }
      let w = try bench.values().map(Double.init)
      #expect(residual(w).allSatisfy { abs($0) < 5e-3 }, "q = \(q) interpolates")
      return w
    }
    let sparse = try solve(1.1, 0.02, 0.02, steps: 800)
    let plain = try solve(2, 0.05, 0.05, steps: 300)
    let even = try solve(10, 1e-5, 1e-12, steps: 2000)
    func small(_ w: [Double]) -> Int { w.count { abs($0) < 1e-3 } }
    func largest(_ w: [Double]) -> Double { w.reduce(0) { max($0, abs($1)) } }
    func absolute(_ w: [Double]) -> Double { w.reduce(0) { $0 + abs($1) } }
    #expect(small(sparse) >= 8 && small(plain) <= 2)
    #expect(absolute(sparse) < 0.9 * absolute(plain))
    #expect(largest(even) < 0.9 * largest(plain))
    #expect(largest(plain) < largest(sparse))
  }

  /// Exponentiated gradient: the entropy map, then a division by the sum.
  @Test(arguments: TestDevices.all) func theSimplexIsKept(_ device: Device) throws {
    let count = 37
    var bench = try ArenaBench(
      device, rule(.entropy, limit: 1.386_294_4), [Float](repeating: 1 / 37, count: count))
    var exact = [Double](repeating: 1 / 37, count: count)
    for step in 0..<30 as Range<UInt64> {
      let g = numbers(count, seed: step + 40).map { $0 * (step % 5 == 4 ? 1e6 : 1) }
      try bench.step(g, rate: 0.3)
      try bench.backend.constrainUnits(
        bench.parameters.view(offset: 0, shape: [count, 1]), .unitSum, decision: bench.decision)
      for i in exact.indices { exact[i] *= exp(-max(-log(4), min(log(4), 0.3 * Double(g[i])))) }
      let sum = exact.reduce(0, +)
      exact = exact.map { $0 / sum }
      let values = try bench.values()
      #expect(abs(values.reduce(0.0) { $0 + Double($1) } - 1) <= 1e-6)
      #expect(values.allSatisfy { $0 > 0 })
      for i in exact.indices { #expect(abs(Double(values[i]) / exact[i] - 1) < 1e-4) }
    }
  }

  /// EG± keeps w = u - v with u e^-a and v e^a; hypentropy is that with u v = beta^2 / 4.
  @Test(arguments: TestDevices.all, [1e-6, 0.1, 2] as [Float])
  func hypentropyIsSignedExponentiatedGradient(_ device: Device, beta: Float) throws {
    let values = numbers(50)
    var bench = try ArenaBench(device, rule(.hypentropy(beta: beta)), values)
    var pairs = values.map { w in
      let root = (Double(w) * Double(w) + Double(beta) * Double(beta)).squareRoot()
      return (u: (root + Double(w)) / 2, v: (root - Double(w)) / 2)
    }
    for step in 0..<4 as Range<UInt64> {
      let g = numbers(50, seed: step + 60)
      try bench.step(g, rate: 0.2)
      for i in pairs.indices {
        pairs[i].u *= exp(-Double(Float(0.2)) * Double(g[i]))
        pairs[i].v *= exp(Double(Float(0.2)) * Double(g[i]))
      }
    }
    for (i, w) in try bench.values().enumerated() {
      #expect(abs(Double(w) - (pairs[i].u - pairs[i].v)) < 1e-5 * (pairs[i].u + pairs[i].v))
    }
  }

  /// beta to 0 is the entropy map on both signs; beta to infinity with rate / beta is descent.
  @Test(arguments: TestDevices.all) func hypentropyLiesBetweenItsLimits(_ device: Device) throws {
    let values = numbers(60).map { $0 + ($0 < 0 ? -0.1 : 0.1) }
    let g = numbers(60, seed: 9)
    func step(_ map: MirrorMap, _ rate: Float) throws -> [Float] {
      var bench = try ArenaBench(device, rule(map), values)
      try bench.step(g, rate: rate)
      return try bench.values()
    }
    // The signed form follows the gradient of |p|: for negative parameters it turns round.
    let signed = try step(.hypentropy(beta: 1e-9), 0.1)
    for i in values.indices {
      let expected = values[i] * expf(-0.1 * g[i] * (values[i] < 0 ? -1 : 1))
      #expect(abs(signed[i] / expected - 1) < 1e-5)
    }
    let (wide, plain) = (try step(.hypentropy(beta: 1e5), 1e-6), try step(.euclidean, 0.1))
    for i in values.indices { #expect(abs(wide[i] - plain[i]) < 1e-5) }
  }

  /// min over x, max over y of x y: plain steps spiral out, optimistic ones come to rest.
  @Test(arguments: TestDevices.all) func theOptimisticFormSolvesAGame(_ device: Device) throws {
    func play(optimistic: Bool) throws -> (first: [Float], distance: Float) {
      var bench = try ArenaBench(device, rule(.euclidean, optimistic: optimistic), [1, 1])
      var first: [Float] = []
      for step in 0..<400 {
        let z = try bench.values()
        try bench.step([z[1], -z[0]], rate: 0.2)
        if step == 0 { first = try bench.values() }
      }
      let z = try bench.values()
      return (first, (z[0] * z[0] + z[1] * z[1]).squareRoot())
    }
    let (plain, optimistic) = (try play(optimistic: false), try play(optimistic: true))
    #expect(plain.distance > 100)
    #expect(optimistic.distance < 1e-2)
    // The first update has no gradient before it.
    #expect(bits(plain.first) == bits(optimistic.first))
  }

  /// The maps that multiply are held to a factor of 4 unless the limit is turned off.
  @Test(arguments: TestDevices.all) func stepsAreLimited(_ device: Device) throws {
    func step(_ optimizer: Optimizer, _ g: Float) throws -> Float {
      var bench = try ArenaBench(device, optimizer.rule, [1])
      try bench.step([g], rate: optimizer.learningRate)
      return try bench.values()[0]
    }
    let usual = Optimizer.mirrorDescent(map: .entropy, learningRate: 1)
    #expect(abs(try step(usual, 1e9) - 0.25) < 1e-6)
    #expect(abs(try step(usual, -1e9) - 4) < 1e-5)
    #expect(try step(usual, .nan).isNaN)
    let free = Optimizer.mirrorDescent(map: .entropy, learningRate: 1, stepLimit: .infinity)
    #expect(abs(try step(free, 5) / expf(-5) - 1) < 1e-5)
    let tight = Optimizer.mirrorDescent(map: .euclidean, learningRate: 1, stepLimit: 0.5)
    #expect(try step(tight, 7) == 0.5)
    #expect(try step(.mirrorDescent(map: .euclidean, learningRate: 1), 7) == -6)
    let signed = Optimizer.mirrorDescent(map: .hypentropy(beta: 1e-6), learningRate: 1)
    #expect(abs(try step(signed, 1e9) - 0.25) < 1e-5)
  }

  @Test func optionsAreChecked() {
    func refusal(_ map: MirrorMap, limit: Float? = nil) -> String {
      sentence {
        try Optimizer.mirrorDescent(map: map, learningRate: 0.1, stepLimit: limit).validate()
      }
    }
    for q in [1, 0, -3, .nan, .infinity] as [Float] {
      #expect(refusal(.power(q: q)) == "mirror: requires a finite power q above 1, got \(q)")
    }
    for beta in [0, -1, .nan, .infinity] as [Float] {
      #expect(refusal(.hypentropy(beta: beta)).contains("a finite beta above 0"))
    }
    for limit in [0, -1, .nan] as [Float] {
      #expect(refusal(.entropy, limit: limit).contains("a step limit above 0"))
    }
    for map in MirrorDescentTests.maps { #expect(refusal(map, limit: .infinity) == "") }
  }
}
