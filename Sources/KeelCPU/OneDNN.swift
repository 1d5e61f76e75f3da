internal import COneDNN
internal import KeelBackend
internal import Synchronization

/// A primitive of oneDNN for one geometry, made once and used again.
final class OneDNNOperation: Sendable {
  // Safe: used only under `lock`.
  private nonisolated(unsafe) let handle: OpaquePointer
  private let lock = Mutex(())
  /// Bytes of scratch memory that ``execute(_:_:bias:into:scratch:)`` needs.
  let scratchBytes: Int

  init(_ handle: OpaquePointer) {
    self.handle = handle
    scratchBytes = keel_dnn_scratch_bytes(handle)
  }

  deinit { keel_dnn_operation_destroy(handle) }

  func execute(
    _ first: UnsafePointer<Float>, _ second: UnsafePointer<Float>,
    bias: UnsafePointer<Float>?, into output: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutableRawPointer
  ) throws(DeviceError) {
    let failure: DeviceError? = lock.withLock { _ in
      let result = keel_dnn_execute(handle, first, second, bias, output, scratch)
      return result.status == 0 ? nil : OneDNN.error(result)
    }
    if let failure { throw failure }
  }
}

/// oneDNN's engine and the primitives made so far.
final class OneDNN: Sendable {
  /// What a primitive computes.
  enum Work: Hashable, Sendable {
    /// Some of the matrices, or of the rows, of a product.
    case matmul(MatmulGeometry, batch: Int, rows: Int)
    case convolution(Convolution2DGeometry, Direction)
  }

  /// Everything that a primitive is compiled for. Parts that run at the same time have equal work
  /// and numbers of their own: a primitive is not for two threads at once.
  struct Key: Hashable, Sendable {
    var work: Work
    var hasBias: Bool
    /// Nil for a primitive that uses all cores by itself.
    var part: Int?
  }

  enum Direction: Sendable { case forward, inputGradient, filterGradient }

  // Safe: an engine is only read after it is made.
  private nonisolated(unsafe) let engine: OpaquePointer
  private let operations = Mutex<[Key: OneDNNOperation]>([:])
  /// Beyond it the table is emptied: shapes that change all the time must not fill memory.
  private static let capacity = 1024

  init() throws(DeviceError) {
    var engine: OpaquePointer?
    let result = keel_dnn_engine_create(&engine)
    guard result.status == 0, let engine else {
      keel_dnn_engine_destroy(engine)
      throw OneDNN.error(result)
    }
    self.engine = engine
  }

  deinit {
    operations.withLock { $0.removeAll() }
    keel_dnn_engine_destroy(engine)
  }

  /// The primitive for a key, made at its first use.
  func operation(_ key: Key) throws(DeviceError) -> OneDNNOperation {
    if let known = operations.withLock({ $0[key] }) { return known }
    var handle: OpaquePointer?
    let result =
      switch key.work {
      case .matmul(let geometry, let batch, let rows):
        withUnsafePointer(to: describe(geometry, batch, rows, key.hasBias)) {
          keel_dnn_matmul_create(engine, $0, key.part != nil, &handle)
        }
      case .convolution(let geometry, let direction):
        withUnsafePointer(to: describe(geometry, key.hasBias)) {
          keel_dnn_convolution_create(
            engine, $0, OneDNN.code(direction), key.part != nil, &handle)
        }
      }
    guard result.status == 0, let handle else { throw OneDNN.error(result) }
    let made = OneDNNOperation(handle)
    operations.withLock { table in
      if table.count >= OneDNN.capacity { table.removeAll() }
      table[key] = made
    }
    return made
  }

  private static func code(_ direction: Direction) -> Int32 {
    switch direction {
    case .forward: Int32(bitPattern: KEEL_DNN_FORWARD.rawValue)
    case .inputGradient: Int32(bitPattern: KEEL_DNN_INPUT_GRADIENT.rawValue)
    case .filterGradient: Int32(bitPattern: KEEL_DNN_FILTER_GRADIENT.rawValue)
    }
  }

  /// `batch` of the geometry's products, `rows` of their rows.
  private func describe(
    _ g: MatmulGeometry, _ batch: Int, _ rows: Int, _ hasBias: Bool
  ) -> keel_dnn_matmul {
    keel_dnn_matmul(
      batch: Int64(batch), rows: Int64(rows), inner: Int64(g.inner),
      columns: Int64(g.columns), a_batch_stride: Int64(g.leftBatchStride),
      a_row_stride: Int64(g.transposeLeft ? 1 : g.inner),
      a_inner_stride: Int64(g.transposeLeft ? g.rows : 1),
      b_batch_stride: Int64(g.rightBatchStride),
      b_inner_stride: Int64(g.transposeRight ? 1 : g.columns),
      b_column_stride: Int64(g.transposeRight ? g.inner : 1), has_bias: hasBias)
  }

  private func describe(_ g: Convolution2DGeometry, _ hasBias: Bool) -> keel_dnn_convolution {
    keel_dnn_convolution(
      batch: Int64(g.batch), height: Int64(g.height), width: Int64(g.width),
      in_channels: Int64(g.inChannels), out_height: Int64(g.outHeight),
      out_width: Int64(g.outWidth), out_channels: Int64(g.outChannels),
      kernel_height: Int64(g.kernelHeight), kernel_width: Int64(g.kernelWidth),
      stride_height: Int64(g.strideHeight), stride_width: Int64(g.strideWidth),
      dilation_height: Int64(g.dilationHeight), dilation_width: Int64(g.dilationWidth),
      pad_top: Int64(g.padTop), pad_left: Int64(g.padLeft), groups: Int64(g.groups),
      has_bias: hasBias)
  }

  fileprivate static func error(_ result: keel_dnn_result) -> DeviceError {
    .callFailed(
      function: String(cString: result.function),
      status: String(cString: keel_dnn_status_name(result.status)))
  }
}
