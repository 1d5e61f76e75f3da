/// The class of a device, which decides the form of its kernels.
public enum DeviceKind: String, Sendable, Codable {
  case cpu
  case gpu
  case accelerator
}

/// What a device says of itself.
public struct DeviceDescription: Sendable, Hashable, Codable {
  /// The text that selects exactly this device, such as `cpu` or `opencl:0`.
  public var selector: String
  /// The device's name.
  public var name: String
  /// Its vendor.
  public var vendor: String
  /// The platform that offers it, such as `Portable Computing Language`.
  public var platform: String
  /// The driver's version.
  public var driver: String
  /// The version of the interface, such as `OpenCL 3.0`.
  public var version: String
  /// Its class.
  public var kind: DeviceKind
  /// Global memory in bytes.
  public var memoryBytes: Int
  /// Compute units (cores, multiprocessors).
  public var computeUnits: Int

  /// A description of all its parts.
  public init(
    selector: String, name: String, vendor: String, platform: String, driver: String,
    version: String, kind: DeviceKind, memoryBytes: Int, computeUnits: Int
  ) {
    self.selector = selector
    self.name = name
    self.vendor = vendor
    self.platform = platform
    self.driver = driver
    self.version = version
    self.kind = kind
    self.memoryBytes = memoryBytes
    self.computeUnits = computeUnits
  }
}

/// A device that tensors live and compute on, chosen at run time.
public struct Device: Sendable, Hashable, CustomStringConvertible {
  /// Takes arrays of every element type in every operation.
  package let backend: any Backend

  package init(_ backend: any Backend) { self.backend = HalfStorageBackend.around(backend) }

  /// What makes it this device and no other.
  private var identity: ObjectIdentifier {
    ObjectIdentifier(HalfStorageBackend.inside(backend))
  }

  /// What the device says of itself.
  public var info: DeviceDescription { backend.info }

  /// The device's counters since it was opened.
  public var counters: DeviceCounters { backend.counters }

  /// The kernels that were chosen by measurement; nil where `keel tune` has not run for it.
  public var tuning: TuningRecord? { backend.tuningRecord }

  /// How matrix products and convolutions take their operands.
  public var productPrecision: ProductPrecision { backend.productPrecision }

  /// Chooses how matrix products and convolutions take their operands from now on, as exactly as
  /// they are by default.
  ///
  /// - Throws: ``DeviceError/unsupported(operation:reason:)`` where the device has no tensor cores,
  ///   or its driver does not take their kernels; nothing has changed then.
  public func setProductPrecision(_ precision: ProductPrecision) throws(DeviceError) {
    try backend.setProductPrecision(precision)
  }

  /// Lets ``DeviceCounters/peakBytes`` begin again at what is in use now.
  public func resetPeakBytes() { backend.resetPeakBytes() }

  /// The selector and the name, such as `opencl:0 (NVIDIA H200)`.
  public var description: String { "\(info.selector) (\(info.name))" }

  /// Waits until all work given to the device is done.
  public func synchronize() throws(DeviceError) { try backend.synchronize() }

  /// Whether both are the same open device.
  public static func == (left: Device, right: Device) -> Bool {
    left.identity == right.identity
  }

  /// Hashes the identity of the open device.
  public func hash(into hasher: inout Hasher) { hasher.combine(identity) }
}

/// What a device has done since it was opened.
public struct DeviceCounters: Sendable, Hashable {
  /// Kernel launches (calls of a loop or library on the CPU).
  public var launches = 0
  /// Fresh allocations of device memory; memory that comes from the pool does not count.
  public var allocations = 0
  /// Bytes in use by arrays.
  public var liveBytes = 0
  /// The largest value that ``liveBytes`` had since the last ``Device/resetPeakBytes()``.
  public var peakBytes = 0
  /// Transfers to the host that waited for the device.
  public var blockingReads = 0

  /// All zero.
  public init() {}
}
