import Glibc
import Keel
import KeelAutograd
import KeelBackend
import KeelNN
import Testing

@Suite struct ContainerTests {
  private func dense(_ units: Int) -> Dense { Dense(units, usesBias: false) }

  /// y = relu(W x + V x): values and gradients of both branches.
  @Test(arguments: TestDevices.all) func residualAddsItsBranches(_ device: Device) throws {
    try expectLayer(
      Residual(activation: .tanh) {
        dense(2)
      } shortcut: {
        dense(2)
      }, input: [3], batch: 4, on: device
    ) { t in
      let (x, w, v) = (t[0], t[1], t[2])
      return (0..<8).map { i in
        let (row, unit) = (i / 2, i % 2)
        let sum = (0..<3).reduce(0.0) {
          $0 + x[3 * row + $1] * (w[2 * $1 + unit] + v[2 * $1 + unit])
        }
        return tanh(sum)
      }
    }
    try expectLayer(Residual { dense(2) }, input: [2], batch: 3, on: device) { t in
      (0..<6).map { i in
        let (row, unit) = (i / 2, i % 2)
        return t[0][i] + t[0][2 * row] * t[1][unit] + t[0][2 * row + 1] * t[1][2 + unit]
      }
    }
  }

  /// y = [x, W x]: the gradient of the joined tensor is cut apart again.
  @Test(arguments: TestDevices.all) func denseConnectionKeepsItsInput(_ device: Device) throws {
    try expectLayer(DenseConnection { dense(1) }, input: [2], batch: 3, on: device) { t in
      (0..<9).map { i in
        let row = i / 3
        return i % 3 < 2
          ? t[0][2 * row + i % 3] : t[0][2 * row] * t[1][0] + t[0][2 * row + 1] * t[1][1]
      }
    }
    let branches = Concatenate(Sequential([dense(1)]), Sequential([dense(2)]))
    try expectLayer(branches, input: [2], batch: 2, on: device) { t in
      (0..<6).map { i in
        let (row, unit) = (i / 3, i % 3)
        return (0..<2).reduce(0.0) {
          $0 + t[0][2 * row + $1] * (unit == 0 ? t[1][$1] : t[2][2 * $1 + unit - 1])
        }
      }
    }
  }

  @Test func layersWithinBlocksHavePaths() throws {
    let block = Residual(activation: .relu) {
      Conv2D(4, padding: .same)
      BatchNorm(activation: .relu)
      Conv2D(4, padding: .same)
    } shortcut: {
      Conv2D(4, kernel: 1)
    }
    let model = try Model(
      Sequential {
        Sequential { block.named("block1") }.named("stage1")
        DenseConnection { Conv2D(2, padding: .same) }
        Concatenate(Sequential { Conv2D(3) }, Sequential { Conv2D(1) })
      }, input: [6, 6, 3], device: .cpu)
    #expect(
      model.layers.map(\.name) == [
        "stage1.block1.conv1", "stage1.block1.batchnorm1", "stage1.block1.conv2",
        "stage1.block1.shortcut.conv1", "denseconnection1.conv1", "concatenate1.branch1.conv1",
        "concatenate1.branch2.conv1",
      ])
    #expect(model.outputShape == [4, 4, 4])
    #expect(model.summary().contains("\nstage1.block1.conv2 "))
    #expect(
      model.builtLayers.map(\.path) == [
        "", "stage1", "stage1.block1", "stage1.block1.conv1", "stage1.block1.batchnorm1",
        "stage1.block1.conv2", "stage1.block1.shortcut", "stage1.block1.shortcut.conv1",
        "denseconnection1", "denseconnection1.conv1", "concatenate1", "concatenate1.branch1",
        "concatenate1.branch1.conv1", "concatenate1.branch2", "concatenate1.branch2.conv1",
      ])
    let inner = try #require(model.builtLayers[3].layer as? Conv2D)
    #expect(inner.weight === model.parameters[0])
    #expect(model.builtLayers[2].layer is Residual)
    let watcher = PathWatcher()
    var pass = Pass(isTraining: false, seed: 0, step: 0)
    pass.observer = watcher
    _ = try model(Tensor.zeros([1, 6, 6, 3], on: .cpu), pass)
    #expect(watcher.paths.sorted() == model.builtLayers.map(\.path).dropFirst().sorted())
  }

  /// The sum of two convolutions that do not fit is refused with the axes that differ.
  @Test func blocksNameTheAxisThatDiffers() {
    func refusal(_ layer: any Layer, _ input: Shape) -> String {
      sentence { _ = try Model(Sequential([layer]), input: input, device: .cpu, seed: 0) }
    }
    let sum = Residual {
      Conv2D(64, padding: .same)
    } shortcut: {
      Conv2D(128, kernel: 1, stride: 2)
    }
    #expect(
      refusal(sum, [8, 8, 3])
        == "residual1 (Residual): requires a main branch that gives the shape of the shortcut; "
        + "they differ in height (axis 0): 8 and 4, width (axis 1): 8 and 4, "
        + "channels (axis 2): 64 and 128, got 8x8x64 and 4x4x128")
    #expect(
      refusal(Residual { Dense(3) }, [4]).contains("the shape of the input; they differ in axis 0"))
    #expect(
      refusal(DenseConnection { MaxPool2D(2) }, [4, 4, 1])
        .contains("they differ in height (axis 0): 4 and 2, width (axis 1): 4 and 2"))
    #expect(
      refusal(Concatenate(Sequential { Flatten() }, Sequential { Conv2D(1) }), [4, 4, 1])
        .contains("one has 1 axes, the other 3"))
    #expect(refusal(Concatenate(), [4]).contains("at least one branch"))
    #expect(refusal(Residual(main: Sequential([])), [4]).contains("at least one layer"))
  }
}

/// Notes the paths of layers that compute.
private final class PathWatcher: LayerObserver {
  var paths: [String] = []

  func layerBegan(_ layer: LayerVisit, input: Tensor) { paths.append(layer.path) }

  func layerEnded(_ layer: LayerVisit, output: Tensor) -> Tensor { output }
}
