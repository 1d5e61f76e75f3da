package import KeelAutograd
public import KeelBackend

/// Keeps the norm of the gradient that flows through a recurrent layer's hidden state at every time
/// step: where it grows from the last step to the first the gradient explodes, where it shrinks it
/// vanishes.
///
/// ```swift
/// let taps = GradientTaps()
/// let model = try Model(
///   Sequential { LSTM(64).tapped(taps); Dense(10) }, input: [28, 28], device: .cpu)
/// _ = try model.valueAndGradient { pass in … }
/// print(try taps.norms())
/// ```
///
/// The norms stay on the device until they are asked for. Taps listen to one model.
public final class GradientTaps {
  private var records: [String: Record] = [:]
  /// The paths in the order in which they were first heard of.
  private var order: [String] = []

  /// Nothing heard yet.
  public init() {}

  /// The paths of the layers listened to, such as `lstm1` or `lstm1.layer2.forward`, from the first
  /// training pass on.
  public var paths: [String] { order }

  /// ‖∂loss/∂h[t]‖ for each time step t, first to last, of the last backward pass: the Euclidean
  /// norm over the whole batch. Waits for the device.
  ///
  /// - Parameter path: one of ``paths``; nil where there is only one.
  /// - Throws: ``TensorError/shape(_:)`` for another path, and before the first backward pass.
  public func norms(of path: String? = nil) throws(TensorError) -> [Float] {
    guard let path = path ?? (order.count == 1 ? order[0] : nil), let record = records[path] else {
      throw .shape(
        ShapeError(
          "taps", requires: "the path of a tapped layer after a training pass: \(order)",
          gotText: path ?? "none"))
    }
    guard let norms = try onDevice({ () throws(DeviceError) in try record.read() }) else {
      throw .shape(
        ShapeError("taps", requires: "a backward pass", gotText: "a forward pass of \(path) only"))
    }
    return norms
  }

  /// Begins a pass of a layer; what is returned is told the gradients.
  package func listen(to path: String, steps: Int, on device: Device) -> StateTap {
    let record = Record(steps: steps, backend: device.backend)
    if records.updateValue(record, forKey: path) == nil { order.append(path) }
    return { (time, gradient) throws(DeviceError) in try record.note(time, gradient) }
  }

  /// The norms of one pass, on the device.
  private final class Record {
    private let steps: Int
    private let backend: any Backend
    private var norms: NDArray?

    private var instrument: (TelescopeTable, TelescopeReading)?

    init(steps: Int, backend: any Backend) {
      self.steps = steps
      self.backend = backend
    }

    func note(_ time: Int, _ gradient: NDArray) throws(DeviceError) {
      let norms: NDArray
      if let known = self.norms {
        norms = known
      } else {
        norms = try backend.newArray([steps])
        self.norms = norms
      }
      let (table, reading) = try telescope(over: gradient.count)
      try backend.gradientTelescope(gradient, table, wantsHistogram: false, into: reading)
      try backend.stridedCopy(
        reading.summary, StridedPattern(strides: [1]), into: norms,
        StridedPattern(offset: time, strides: [1]), extents: [1])
    }

    /// What measures gradients of so many elements; every time step's has equally many.
    private func telescope(
      over count: Int
    ) throws(DeviceError) -> (TelescopeTable, TelescopeReading) {
      if let instrument { return instrument }
      let made = (
        try TelescopeTable([(offset: 0, count: count)], on: backend),
        try TelescopeReading(tensors: 1, on: backend)
      )
      instrument = made
      return made
    }

    /// Nil before the gradients came by.
    func read() throws(DeviceError) -> [Float]? {
      guard let norms else { return nil }
      let all: [Float] = try backend.scalars(norms)
      return all
    }
  }
}
