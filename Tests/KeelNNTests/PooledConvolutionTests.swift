import Keel
import KeelAutograd
import KeelBackend
import Testing

/// A convolution of which only maxima over windows are used: its gradients come from the maxima.
@Suite struct PooledConvolutionTests {
  private struct Window {
    var extents: (Int, Int)
    var stride: (Int, Int)?
  }

  /// The gradients of image, filter and bias.
  ///
  /// - Parameter isShared: whether the convolution's result has another use, of no weight.
  private func gradients(
    _ activation: Activation, _ window: Window, on device: Device, isShared: Bool,
    hasBias: Bool = true, gradientOfImage: Bool = true
  ) throws(TensorError) -> [[Float]] {
    func tensor(_ shape: Shape, _ index: Int) throws(TensorError) -> Tensor {
      var random = RandomSequence(RandomKey(seed: 9, .user, index: index))
      return try Tensor(
        (0..<shape.count).map { _ in 2 * random.nextUniform() - 1 }, shape: shape, on: device)
    }
    let image = try tensor([3, 9, 8, 2], 0)
    let (filter, bias) = (try tensor([3, 3, 2, 20], 1), try tensor([20], 2))
    let leaves = (gradientOfImage ? [image] : []) + [filter] + (hasBias ? [bias] : [])
    let (_, found) = try valueAndGradient(at: leaves) { () throws(TensorError) in
      let y = try image.convolution2D(
        filter, bias: hasBias ? bias : nil, padding: .same, activation: activation)
      let maxima = try y.maxPooling2D(window: window.extents, stride: window.stride)
      let loss = try (maxima * maxima + maxima).sum()
      return isShared ? try loss + (y * 1e-30).sum() : loss
    }
    var values: [[Float]] = []
    for gradient in found { values.append(try gradient.scalars()) }
    return values
  }

  @Test(arguments: TestDevices.all) func gradientsAreThoseOfTheWholeResult(
    _ device: Device
  ) throws {
    let windows = [
      Window(extents: (2, 2)), Window(extents: (3, 2), stride: (2, 2)),
      Window(extents: (2, 2), stride: (3, 3)),
    ]
    for activation in [Activation.identity, .relu, .leakyRelu(slope: 0.1), .sigmoid, .tanh] {
      for window in windows {
        for (hasBias, gradientOfImage) in [(true, true), (false, true), (true, false)] {
          let (own, shared) = try (
            gradients(
              activation, window, on: device, isShared: false, hasBias: hasBias,
              gradientOfImage: gradientOfImage),
            gradients(
              activation, window, on: device, isShared: true, hasBias: hasBias,
              gradientOfImage: gradientOfImage)
          )
          for (own, shared) in zip(own, shared) {
            let largest = shared.reduce(0) { max($0, abs($1)) }
            #expect(largest > 0.1)
            #expect(
              zip(own, shared).allSatisfy { abs($0 - $1) < 1e-5 * largest },
              "\(activation) \(window)")
          }
        }
      }
    }
  }

  /// Activation and bias are done with the maxima, a quarter of the result.
  @Test func whatIsReadIsTheMaxima() throws {
    func bytes(isShared: Bool) throws -> Int {
      let profiler = ProfilingBackend(Device.cpu.backend)
      _ = try gradients(
        .relu, Window(extents: (2, 2)), on: Device(profiler), isShared: isShared)
      return profiler.table.filter { $0.method == "biasActivationGradient" }.map(\.bytes)
        .reduce(0, +)
    }
    // y, dy and dz of 3 x 4 x 4 or 3 x 9 x 8 pixels of 20 channels, and the bias.
    #expect(try bytes(isShared: false) == 4 * (3 * 3 * 16 * 20 + 20))
    #expect(try bytes(isShared: true) == 4 * (3 * 3 * 72 * 20 + 20))
  }

  /// Who watches sees the same gradients, and finds the same bits.
  @Test(arguments: TestDevices.all) func observersChangeNothing(_ device: Device) throws {
    final class Sums: OperationObserver {
      var names: [Int: String] = [:]
      var upstream: [String: NDArray] = [:]
      func operationRan(
        _ name: OperationName, method: String, inputs: [Tensor], output: Tensor
      ) -> Int {
        names[names.count + 1] = method
        return names.count
      }
      func pullbackBegan(_ number: Int, upstream: NDArray) {
        self.upstream[names[number] ?? ""] = upstream
      }
      func pullbackEnded(_ number: Int, gradients: [NDArray?]) {}
      func gradientsAdded(_ number: Int, sum: NDArray) {}
      func met(_ tensor: Tensor, as name: String) {}
      func partBegan(_ part: TracedPart) {}
      func partEnded() {}
    }
    let window = Window(extents: (2, 2))
    let sums = Sums()
    let plain = try gradients(.relu, window, on: device, isShared: false)
    let seen = try observingOperations(sums) { () throws(TensorError) in
      try gradients(.relu, window, on: device, isShared: false)
    }
    #expect(seen == plain)
    #expect(sums.upstream["convolution2D"]?.shape == [3, 9, 8, 20])
  }
}
