import KeelBackend
import KeelOpenCL
import Testing

/// The clock of the tuner, without a device.
@Suite struct TuningTimerTests {
  /// A clock for work that adds its seconds to a sum.
  private final class Model {
    var now = 0.0
    var batches: [Double] = []
    /// What the device's own clock would say of some seconds.
    var device: (Double) -> Double = { $0 }

    func timer(resolution: Double = 1e-9) -> TuningTimer {
      TuningTimer(resolution: resolution) { runs, work in
        let start = self.now
        for _ in 0..<runs { try work() }
        self.batches.append(self.now - start)
        return (self.device(self.now - start), self.now - start)
      }
    }
    func work(_ seconds: Double) -> () throws -> Void { { self.now += seconds } }
  }

  @Test func batchesLastTwentySteps() throws {
    let model = Model()
    let timer = model.timer(resolution: 1e-3)
    _ = try timer.compare(seconds: 0, candidate: model.work(1e-6), standard: model.work(3e-6))
    // Single runs find out how many fill a batch, at most a thousand.
    #expect(model.batches.dropFirst(4).allSatisfy { $0 >= 0.99e-3 })
    let coarse = Model()
    _ = try coarse.timer(resolution: 1e-3).compare(
      seconds: 0, candidate: coarse.work(1e-4), standard: coarse.work(3e-4))
    #expect(coarse.batches.dropFirst(4).allSatisfy { $0 >= 0.0199 })
  }

  @Test func eventsOfZeroFallBackToTheWall() throws {
    let model = Model()
    model.device = { _ in 0 }
    let times = try model.timer().compare(
      seconds: 0, candidate: model.work(1e-3), standard: model.work(2e-3))
    #expect(abs(times.ratio - 0.5) < 1e-6 && abs(times.nanoseconds - 1e6) < 1)
    // Work that takes no time at all is no division by zero.
    let nothing = try model.timer().compare(
      seconds: 0, candidate: model.work(0), standard: model.work(0))
    #expect(nothing.ratio == 1 && !nothing.isBetter)
  }

  @Test func fivePercentAreNeeded() {
    func comparison(_ candidate: Double) -> TuningComparison {
      TuningComparison(Array(repeating: (candidate, 1.0), count: 9))
    }
    #expect(comparison(0.94).isBetter && !comparison(0.96).isBetter && !comparison(1.1).isBetter)
    // A gain that is less than its own noise is none.
    let noisy = [0.5, 0.6, 0.7, 0.8, 0.95, 1.1, 1.2, 1.3, 1.4].map {
      (candidate: $0, standard: 1.0)
    }
    #expect(!TuningComparison(noisy).isBetter)
    // What slows down both, such as another program, does not show.
    let drifting = (1...9).map { (candidate: 0.9 * Double($0), standard: Double($0)) }
    #expect(TuningComparison(drifting).isBetter && TuningComparison(drifting).spread < 1e-9)
  }
}

extension BothClassesTests {
  /// Candidates on a device: what is wrong is found before it is timed.
  @Suite("Tuner on both classes of device")
  struct TunerTests {
    private static let subject = TuningSubject.matmul(
      MatmulGeometry(rows: 32, inner: 24, columns: 48))

    private static let convolution = Convolution2DGeometry(
      batch: 2, height: 8, width: 8, inChannels: 16, outChannels: 16, kernel: (3, 3),
      padding: (1, 1, 1, 1))

    private func candidates(_ subject: TuningSubject, _ backend: OpenCLBackend) -> [TunedPlan] {
      let all = TuningCandidates(
        subject, isCPUClass: backend.isCPUClass, limits: backend.limits)
      // The kernels and their packing, and some tiles of GPUs: each is a compilation of its own.
      let isPacked = subject.operation == .matmul && backend.isCPUClass
      let plans = all.round(isPacked ? 1 : 0, best: all.formula)
      return [all.formula] + plans.filter { !"\($0)".contains("128") }.prefix(3)
    }

    @Test func everyCandidatePasses() throws {
      try TestDevice.bothClasses { backend in
        let worker = TuningWorker(backend)
        let subjects =
          [Self.subject]
          + Convolution2DDirection.allCases.map { .convolution2D(Self.convolution, $0) }
        for subject in subjects {
          for plan in candidates(subject, backend) {
            let reply = worker.reply(
              to: TuningRequest(subject, plan: plan.parameters, checks: true, seconds: 0))
            #expect(reply.refusal == nil, "\(subject) by \(plan)")
          }
        }
      }
    }

    /// Each is right on the shape that is timed, or nearly; none passes.
    @Test func whatIsWrongIsRefused() throws {
      try TestDevice.bothClasses { backend in
        let gate = TuningGate(backend, seed: 1)
        let right = backend.formula(Self.subject)
        func refusal(_ run: @escaping TuningGate.Run) throws -> String {
          let text = try gate.refusal(of: run, plan: nil, for: Self.subject)
          return try #require(text)
        }
        func geometry(_ subject: TuningSubject) throws(DeviceError) -> MatmulGeometry {
          guard case .matmul(let geometry) = subject else {
            throw .unsupported(operation: "test", reason: "no product")
          }
          return geometry
        }
        #expect(try gate.refusal(of: right, plan: nil, for: Self.subject) == nil)
        // The rows beyond the last whole tile are left out.
        _ = try refusal { (subject, arrays) throws(DeviceError) in
          var short = try geometry(subject)
          short.rows -= short.rows % 8
          try backend.matmul(
            arrays.left, arrays.right, short, Epilogue(bias: arrays.bias), into: arrays.result)
        }
        // Right numbers, and one beyond them.
        let overrun = try refusal { (subject, arrays) throws(DeviceError) in
          try right(subject, arrays)
          let next = NDArray(
            storage: arrays.result.storage,
            byteOffset: (arrays.result.byteOffset + arrays.result.byteCount + 511) / 512 * 512,
            shape: [1], dtype: .float32)
          try backend.upload([Float(1)], to: next)
        }
        #expect(overrun.contains("outside the result"))
        // Right numbers, but what is no number becomes 0.
        let hiding = try refusal { (subject, arrays) throws(DeviceError) in
          try right(subject, arrays)
          let values = try backend.scalars(arrays.result, as: Float.self).map { $0.isNaN ? 0 : $0 }
          try backend.upload(values, to: arrays.result)
        }
        #expect(hiding.contains("NaN"))
        // Right within the bound, but not twice the same.
        var runs = 0
        let unsteady = try refusal { (subject, arrays) throws(DeviceError) in
          try right(subject, arrays)
          var values = try backend.scalars(arrays.result, as: Float.self)
          runs += 1
          if runs % 2 == 0 { values[0] = values[0].nextUp }
          try backend.upload(values, to: arrays.result)
        }
        #expect(unsteady.contains("two runs differ"))
      }
    }

    /// The fastest of all computes nothing: it gets no time, so it cannot be selected.
    @Test func aPlantedCandidateIsNeverTimed() throws {
      try TestDevice.bothClasses { backend in
        let worker = TuningWorker(backend)
        let planted = worker.reply(
          to: TuningRequest(Self.subject, plan: nil, fault: .wrong, checks: true, seconds: 0.01))
        #expect(planted.refusal != nil && planted.times == nil)
        let unchecked = worker.reply(
          to: TuningRequest(Self.subject, plan: nil, fault: .wrong, checks: false, seconds: 0.01))
        // It would have won.
        #expect(unchecked.times?.isBetter == true)
      }
    }

    @Test func aDatabaseDecidesThePlan() throws {
      let entry = try #require(TestDevice.entry)
      let geometry = MatmulGeometry(rows: 33, inner: 20, columns: 40)
      let subject = TuningSubject.matmul(geometry)
      let plan = MatmulPlan.tiles(
        MatmulTiles(rows: 4, vectors: 1, packsLeft: true, packsRight: true))
      var database = TuningDatabase()
      database.insert(
        TuningDatabase.Entry(
          key: TuningDatabase.Key(subject, on: entry.description, isCPUClass: true),
          subject: subject, choice: TunedPlan.matmul(plan).parameters, nanoseconds: 1,
          defaultNanoseconds: 2, spread: 0, samples: 9, date: "2026-11-21T16:00:00Z",
          keel: "0.1.0"))
      let tuning = DeviceTuning(database, for: entry.description)
      let backend = try OpenCLBackend(entry, tuning: tuning)
      _ = backend.setClass(true)
      func product(_ rows: Int, _ backend: OpenCLBackend) throws -> (choice: String, [UInt32]) {
        let shape = MatmulGeometry(rows: rows, inner: 20, columns: 40)
        let a = try backend.array(numbers(rows * 20, seed: 1), shape: [rows, 20])
        let b = try backend.array(numbers(800, seed: 2), shape: [20, 40])
        let c = try backend.allocate([rows, 40], .float32)
        let trace = try backend.traced { try backend.matmul(a, b, shape, .none, into: c) }
        return (trace.choices.joined(), try backend.floats(c).map(\.bitPattern))
      }
      #expect(backend.tuningRecord?.choices == [])
      let tuned = try product(40, backend)
      #expect(
        tuned.choice.contains("register tiles of 4 x 16, left packed")
          && tuned.choice.hasSuffix(", tuned"))
      // Another class of shapes, and another class of device.
      #expect(try !product(70, backend).choice.contains("tuned"))
      #expect(backend.tuningRecord?.choices.count == 1)
      _ = backend.setClass(false)
      #expect(try !product(40, backend).choice.contains("tuned"))
      // A plan for another shape of the class that it cannot compute gives way.
      let inPlace = MatmulPlan.tiles(
        MatmulTiles(rows: 16, vectors: 2, packsLeft: false, packsRight: false))
      let narrow = MatmulGeometry(rows: 9, inner: 20, columns: 40)
      let plan9 = TunedPlan.matmul(inPlace)
      #expect(!plan9.computes(.matmul(narrow), isCPUClass: true, limits: backend.limits))
    }
  }
}
