import KeelBackend
import KeelStability
import Testing

/// Momentum has two forms in use; the SGD of Keel has PyTorch's.
@Suite struct MomentumTests {
  /// Weights after steps with these rates and the gradient of |w - 1|^2 / 2.
  private func keel(_ device: Device, _ rates: [Float]) throws -> [Double] {
    var bench = try ArenaBench(
      device, .sgd(momentum: 0.9, dampening: 0, nesterov: false), [0, 3])
    for rate in rates { try bench.step(try bench.values().map { $0 - 1 }, rate: rate) }
    return try bench.values().map(Double.init)
  }

  /// v = m v + g; w -= rate v (PyTorch), or v = m v - rate g; w += v (Keras).
  private func reference(_ rates: [Float], rateInside: Bool) -> [Double] {
    [0.0, 3].map { start in
      var (w, v) = (start, 0.0)
      for rate in rates {
        let g = w - 1
        if rateInside {
          v = 0.9 * v - Double(rate) * g
          w += v
        } else {
          v = 0.9 * v + g
          w -= Double(rate) * v
        }
      }
      return w
    }
  }

  @Test(arguments: TestDevices.all) func bothFormsAgreeAtAConstantRate(_ device: Device) throws {
    let rates = [Float](repeating: 0.05, count: 20)
    let weights = try keel(device, rates)
    for form in [false, true] {
      for (found, expected) in zip(weights, reference(rates, rateInside: form)) {
        #expect(abs(found - expected) < 1e-5)
      }
    }
  }

  @Test(arguments: TestDevices.all) func theyDifferWhereTheRateChanges(_ device: Device) throws {
    let rates = [Float](repeating: 0.05, count: 10) + [Float](repeating: 0.005, count: 5)
    let weights = try keel(device, rates)
    for (found, expected) in zip(weights, reference(rates, rateInside: false)) {
      #expect(abs(found - expected) < 1e-5)
    }
    for (found, other) in zip(weights, reference(rates, rateInside: true)) {
      #expect(abs(found - other) > 1e-2)
    }
  }
}
