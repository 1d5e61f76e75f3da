import KeelAutograd
import KeelBackend
import KeelNN

/// Looks at every value of one computation and keeps the first cause of those that are not finite.
///
/// It downloads what operations read and make, so a traced step costs many ordinary ones; memory is
/// that of the step and one array on the host.
final class FirstCauseTrace {
  private(set) var cause: FirstCause?
  /// A failure of the device while looking; the trace is then worthless.
  private(set) var failure: DeviceError?

  private let model: Model
  private var parts: [TracedPart]
  /// By number, from 1.
  private var operations: [Operation] = []
  private var lastFinite: FirstCause.LastFinite?
  private var upstream: FirstCause.Operand?
  /// Tensors with a name; holding them keeps their identity theirs.
  private var named: [ObjectIdentifier: (tensor: Tensor, name: String)] = [:]
  private let sources: [ObjectIdentifier: FirstCause.Source]

  private struct Operation {
    var place: FirstCause.Place
    var inputs: [FirstCause.Operand]
  }

  private static let inputBatch = "the input batch"
  private static let targets = "the targets"
  private static let mostLaterProducers = 8

  init(_ model: Model, base: TracedPart) {
    self.model = model
    parts = [base]
    var sources: [ObjectIdentifier: FirstCause.Source] = [:]
    for parameter in model.parameters {
      guard let place = parameter.place else { continue }
      for tensor in [
        place.tracked, place.detached, place.working.tracked, place.working.detached,
      ] {
        sources[ObjectIdentifier(tensor)] = .parameter(name: parameter.name)
        named[ObjectIdentifier(tensor)] = (tensor, parameter.name)
      }
    }
    for state in model.states {
      guard let tensor = state.tensor else { continue }
      sources[ObjectIdentifier(tensor)] = .state(name: state.name)
      named[ObjectIdentifier(tensor)] = (tensor, state.name)
    }
    self.sources = sources
  }

  private func range(_ array: NDArray) -> ValueRange {
    do throws(DeviceError) {
      return try ValueRange(array, model.device.backend)
    } catch {
      if failure == nil { failure = error }
      return ValueRange([], shape: array.shape)
    }
  }

  /// Names an operation by the innermost part it runs in, and the innermost known line.
  private func place(_ name: OperationName, _ method: String) -> FirstCause.Place {
    let part = parts.count > 1 ? parts.last : nil
    return FirstCause.Place(
      operation: method, family: name.rawValue, layer: part?.path, layerKind: part?.kind,
      source: parts.last { $0.source != nil }?.source, number: operations.count + 1,
      direction: .forward)
  }

  /// Where a value came from that an input already held.
  private func source(_ tensor: Tensor?, _ range: ValueRange) -> FirstCause.Source {
    guard let tensor else { return .constant }
    if let known = sources[ObjectIdentifier(tensor)] { return known }
    let example = range.firstNonFiniteIndex?.first ?? 0
    return switch named[ObjectIdentifier(tensor)]?.name {
    case FirstCauseTrace.inputBatch?: .inputBatch(example: example)
    case FirstCauseTrace.targets?: .targets(example: example)
    default: .constant
    }
  }

  /// Keeps what is found first, and counts what is found later.
  private func found(
    _ source: FirstCause.Source, _ place: FirstCause.Place, _ inputs: [FirstCause.Operand],
    _ output: FirstCause.Operand
  ) {
    guard cause != nil else {
      cause = FirstCause(
        source: source, place: place, inputs: inputs, output: output, lastFinite: lastFinite,
        laterProducers: [])
      return
    }
    guard source == .operation, let known = cause?.laterProducers,
      known.count < FirstCauseTrace.mostLaterProducers
    else { return }
    cause?.laterProducers.append(place)
  }
}

extension FirstCauseTrace: OperationObserver {
  func operationRan(
    _ name: OperationName, method: String, inputs: [Tensor], output: Tensor
  ) -> Int {
    let place = place(name, method)
    let operands = inputs.enumerated().map { position, tensor in
      FirstCause.Operand(
        name: named[ObjectIdentifier(tensor)]?.name ?? "input \(position + 1)",
        range: range(tensor.value))
    }
    operations.append(Operation(place: place, inputs: operands))
    let result = FirstCause.Operand(name: "the result", range: range(output.value))
    if let position = operands.firstIndex(where: { !$0.range.isFinite }) {
      // Of an earlier operation, or given: then nothing was found before.
      if cause == nil {
        found(source(inputs[position], operands[position].range), place, operands, result)
      }
    } else if result.range.isFinite {
      if cause == nil { lastFinite = FirstCause.LastFinite(place: place, output: result) }
    } else {
      found(.operation, place, operands, result)
    }
    return operations.count
  }

  func pullbackBegan(_ number: Int, upstream dy: NDArray) {
    let operand = FirstCause.Operand(name: "the gradient that arrives", range: range(dy))
    upstream = operand
    if cause == nil, !operand.range.isFinite, let place = backward(number) {
      found(.gradientSeed, place, [operand], operand)
    }
  }

  func pullbackEnded(_ number: Int, gradients: [NDArray?]) {
    guard let place = backward(number), let upstream else { return }
    self.upstream = nil
    let forward = operations[number - 1].inputs
    for (position, gradient) in gradients.enumerated() {
      guard let gradient else { continue }
      let name = position < forward.count ? forward[position].name : "input \(position + 1)"
      let result = FirstCause.Operand(name: "the gradient of \(name)", range: range(gradient))
      if result.range.isFinite {
        if cause == nil { lastFinite = FirstCause.LastFinite(place: place, output: result) }
      } else if upstream.range.isFinite, forward.allSatisfy({ $0.range.isFinite }) {
        found(.operation, place, [upstream] + forward, result)
        return
      }
    }
  }

  func gradientsAdded(_ number: Int, sum: NDArray) {
    guard cause == nil, let place = backward(number) else { return }
    let operand = FirstCause.Operand(name: "the sum of gradients", range: range(sum))
    if !operand.range.isFinite { found(.gradientSum, place, [], operand) }
  }

  /// The place of an operation on the way back.
  private func backward(_ number: Int) -> FirstCause.Place? {
    guard operations.indices.contains(number - 1) else { return nil }
    var place = operations[number - 1].place
    place.direction = .backward
    return place
  }

  func met(_ tensor: Tensor, as name: String) {
    let key = ObjectIdentifier(tensor)
    if named[key] == nil { named[key] = (tensor, name) }
  }

  func partBegan(_ part: TracedPart) { parts.append(part) }

  func partEnded() { if parts.count > 1 { parts.removeLast() } }
}

extension FirstCauseTrace: LayerObserver {
  func layerBegan(_ layer: LayerVisit, input: Tensor) throws(TensorError) {
    partBegan(
      TracedPart(path: layer.path, kind: layer.kind, source: layer.source?.description))
  }

  func layerEnded(_ layer: LayerVisit, output: Tensor) throws(TensorError) -> Tensor {
    partEnded()
    return output
  }
}
