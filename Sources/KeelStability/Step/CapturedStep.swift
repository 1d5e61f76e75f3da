package import KeelAutograd
package import KeelBackend
package import KeelNN

/// What the captures of a training have done.
public struct CaptureSummary: Hashable, Sendable, Codable {
  /// How many kinds of work were recorded: the gradient of a batch of one shape and share, the
  /// update after it.
  public package(set) var signatures = 0
  /// How many steps had their gradient repeated from a record.
  public package(set) var replays = 0
  /// Why steps, or some of them, were not; nil if nothing was in the way.
  public package(set) var declined: String?

  package init() {}
}

/// The steps of a training as work that its device repeats: gradient and update are recorded once
/// for each signature, and started again from the record in later steps. Each is bit for bit what
/// it would be otherwise. What cannot be recorded runs as ever, and is said once.
package final class CapturedStep {
  /// What one run of forward and backward pass gives.
  package typealias Value = (loss: Tensor, right: Tensor?)

  /// What decides how the gradient of a batch is computed, besides the network.
  package struct Signature: Hashable {
    let inputs: Shape
    let dtype: DType
    let weight: UInt32
    let accumulates: Bool

    /// - Parameters:
    ///   - inputs: the shape of the batch, its examples being of `dtype`.
    ///   - weight: its share of the step.
    ///   - accumulates: whether its gradient is added to what there is.
    package init(inputs: Shape, dtype: DType, weight: Float = 1, accumulates: Bool = false) {
      (self.inputs, self.dtype, self.accumulates) = (inputs, dtype, accumulates)
      self.weight = weight.bitPattern
    }
  }

  private struct UpdateSignature: Hashable {
    let loss: ObjectIdentifier?
    let wantsHistogram: Bool
  }

  private let model: Model
  private let notice: (String) -> Void
  private let gradients: CaptureTable<Signature, Value>?
  private let updates: CaptureTable<UpdateSignature, Tensor?>?
  private var modes: ModelModes
  private var firstUpdate: UInt64 = 0
  /// What was done so far.
  package private(set) var summary = CaptureSummary()

  /// - Parameters:
  ///   - refusal: why no step can be repeated, if the caller knows.
  ///   - notice: is told once why steps are not repeated.
  package init(
    _ model: Model, refusal: String? = nil, notice: @escaping (String) -> Void = { _ in }
  ) {
    self.model = model
    self.notice = notice
    modes = model.modes
    var refusal = refusal
    if refusal == nil, let layer = model.builtLayers.first(where: { !$0.layer.repeatsItself }) {
      let name = layer.path.isEmpty ? layer.layer.kind : "\(layer.path) (\(layer.layer.kind))"
      refusal = "the layer \(name) may do other work in another step; see Layer.repeatsItself"
    }
    // Launches are recorded by the device itself, below what converts 16-bit arrays for it.
    let device = HalfStorageBackend.inside(model.device.backend)
    guard let backend = device as? any CapturingBackend else {
      (gradients, updates) = (nil, nil)
      summary.declined = "\(model.device.info.selector) repeats nothing"
      return
    }
    let space = backend.makeCaptureSpace()
    gradients = refusal == nil ? CaptureTable(backend, space) : nil
    updates = refusal == nil ? CaptureTable(backend, space) : nil
    if let refusal { decline(refusal) }
  }

  /// Whether anything can be repeated.
  package var isAtWork: Bool { gradients != nil }

  private func decline(_ reason: String) {
    guard summary.declined == nil else { return }
    summary.declined = reason
    notice(reason)
  }

  /// Computes the gradient of a batch, or repeats it with what is in the same inputs now.
  ///
  /// - Parameters:
  ///   - inputs: what decides how; its arrays must be the same whenever it is.
  ///   - number: what random numbers follow from.
  ///   - body: does the work.
  /// - Returns: what the work gave, and whether it is written anew by later runs of the signature.
  package func gradient(
    _ signature: Signature, number: UInt64, _ body: () throws(TensorError) -> Value
  ) throws(TensorError) -> (value: Value, isLasting: Bool) {
    guard let gradients, OperationTrace.observer == nil else { return (try body(), false) }
    if model.modes != modes {
      modes = model.modes
      gradients.forget()
      updates?.forget()
    }
    let result = try gradients.run(signature, number: number, body)
    if result.isReplay {
      summary.replays += 1
    } else if result.isLasting {
      // The loss is another one from here on.
      updates?.forget()
    }
    note(gradients.refusal)
    return (result.output, result.isLasting)
  }

  /// Does what follows the gradient, or repeats it.
  ///
  /// - Parameters:
  ///   - loss: what ``gradient(_:number:_:)`` gave, and is lasting.
  ///   - firstUpdate: a number that seldom changes, and all that was recorded with it.
  package func update(
    loss: Tensor?, wantsHistogram: Bool = false, firstUpdate: UInt64 = 0, number: UInt64 = 0,
    _ body: () throws(TensorError) -> Void
  ) throws(TensorError) {
    guard let updates, OperationTrace.observer == nil else { return try body() }
    if self.firstUpdate != firstUpdate {
      self.firstUpdate = firstUpdate
      updates.forget()
    }
    let signature = UpdateSignature(
      loss: loss.map(ObjectIdentifier.init), wantsHistogram: wantsHistogram)
    _ = try updates.run(signature, number: number) { () throws(TensorError) in
      try body()
      return loss
    }
    note(updates.refusal)
  }

  private func note(_ refusal: String?) {
    summary.signatures = (gradients?.recorded ?? 0) + (updates?.recorded ?? 0)
    if let refusal { decline(refusal) }
  }
}

/// Captures by signature.
private final class CaptureTable<Signature: Hashable, Output> {
  /// More signatures than that run as ever: each keeps a kernel object for each launch.
  private static var largestCount: Int { 16 }

  private struct Entry {
    let capture: any WorkCapture
    /// What the recorded run gave.
    var output: Output?
  }

  private let backend: any CapturingBackend
  private let space: any CaptureSpace
  private var entries: [Signature: Entry] = [:]
  /// How often something was recorded.
  private(set) var recorded = 0
  /// Why something was not, if anything was not.
  private(set) var refusal: String?

  init(_ backend: any CapturingBackend, _ space: any CaptureSpace) {
    (self.backend, self.space) = (backend, space)
  }

  func forget() { entries = [:] }

  func run(
    _ signature: Signature, number: UInt64, _ body: () throws(TensorError) -> Output
  ) throws(TensorError) -> (output: Output, isLasting: Bool, isReplay: Bool) {
    guard let entry = entry(for: signature) else { return (try body(), false, false) }
    if let output = entry.output {
      let isReplay = try onDevice { () throws(DeviceError) in
        try entry.capture.replay(number: number)
      }
      if isReplay { return (output, true, true) }
    }
    guard entry.capture.refusal == nil else { return (try body(), false, false) }
    // What the last record gave would stay behind beside what the next one gives.
    entries[signature]?.output = nil
    var made: Output?
    try entry.capture.record(number: number) { () throws(TensorError) in made = try body() }
    guard let output = made else { preconditionFailure("work that was not done") }
    let isRecorded = entry.capture.isRecorded
    if isRecorded {
      entries[signature]?.output = output
      recorded += 1
    }
    refusal = refusal ?? entry.capture.refusal
    return (output, isRecorded, false)
  }

  private func entry(for signature: Signature) -> Entry? {
    if let known = entries[signature] { return known }
    guard entries.count < Self.largestCount else {
      refusal = refusal ?? "there are more than \(Self.largestCount) kinds of them"
      return nil
    }
    let entry = Entry(capture: backend.makeCapture(in: space), output: nil)
    entries[signature] = entry
    return entry
  }
}
