internal import COpenCL
internal import KeelBackend
internal import Logging

/// The programs of one device: built once per (text, options), kept on disk as binaries.
///
/// Only used under the device's lock.
final class OpenCLPrograms {
  private let library: OpenCLLibrary
  private let entry: OpenCLDeviceEntry
  private let context: OpaquePointer
  private let cache: OpenCLBinaryCache
  private let log = Logger(label: "keel.opencl")
  private var programs: [ProgramKey: Program] = [:]
  private var kernels: [KernelKey: Kernel] = [:]
  private var unsaved: [Program] = []
  /// Programs that were compiled from text, not loaded.
  private(set) var compilations = 0

  private struct ProgramKey: Hashable {
    let source: ObjectIdentifier
    let options: [String]
  }

  private struct KernelKey: Hashable {
    let program: ProgramKey
    let function: String
  }

  final class Program {
    let source: KernelSource
    let handle: OpaquePointer
    let key: String
    var variants: Set<String>
    var isUnsaved = false

    init(source: KernelSource, handle: OpaquePointer, key: String, variants: Set<String>) {
      self.source = source
      self.handle = handle
      self.key = key
      self.variants = variants
    }
  }

  final class Kernel {
    let handle: OpaquePointer
    let function: String
    let program: Program
    /// The local sizes it ran with.
    var locals: Set<SIMD3<Int>> = []

    init(handle: OpaquePointer, function: String, program: Program) {
      self.handle = handle
      self.function = function
      self.program = program
    }
  }

  init(
    _ library: OpenCLLibrary, _ entry: OpenCLDeviceEntry, context: OpaquePointer,
    cache: OpenCLBinaryCache
  ) {
    self.library = library
    self.entry = entry
    self.context = context
    self.cache = cache
  }

  deinit {
    for kernel in kernels.values { _ = library.api.clReleaseKernel(kernel.handle) }
    for program in programs.values { _ = library.api.clReleaseProgram(program.handle) }
  }

  func kernel(
    _ function: String, _ source: KernelSource, _ options: [String]
  ) throws(DeviceError) -> Kernel {
    let programKey = ProgramKey(source: ObjectIdentifier(source), options: options)
    let key = KernelKey(program: programKey, function: function)
    if let known = kernels[key] { return known }
    let program: Program
    if let known = programs[programKey] {
      program = known
    } else {
      program = try build(source, options)
      programs[programKey] = program
    }
    let api = library.api
    let handle = try make("clCreateKernel") { api.clCreateKernel(program.handle, function, &$0) }
    let kernel = Kernel(handle: handle, function: function, program: program)
    kernels[key] = kernel
    return kernel
  }

  /// The same kernel as an object with arguments of its own, which the caller releases.
  func twin(of kernel: Kernel) throws(DeviceError) -> Kernel {
    let api = library.api
    let handle = try make("clCreateKernel") {
      api.clCreateKernel(kernel.program.handle, kernel.function, &$0)
    }
    return Kernel(handle: handle, function: kernel.function, program: kernel.program)
  }

  /// Remembers that a kernel ran with a local size: PoCL then holds code for it that the binary
  /// on disk may lack.
  func note(_ kernel: Kernel, local: SIMD3<Int>) {
    guard kernel.locals.insert(local).inserted, entry.isPoCL else { return }
    let variant = "\(kernel.function)@\(local.x).\(local.y).\(local.z)"
    guard kernel.program.variants.insert(variant).inserted else { return }
    markUnsaved(kernel.program)
  }

  private func markUnsaved(_ program: Program) {
    guard !program.isUnsaved, cache.folder != nil else { return }
    program.isUnsaved = true
    unsaved.append(program)
  }

  /// Writes the binaries that changed since the last call. The queue must be idle.
  func save() {
    for program in unsaved {
      program.isUnsaved = false
      guard let binary = binary(of: program.handle) else { continue }
      cache.store(
        .init(binary: binary, variants: program.variants), name: program.source.name,
        key: program.key)
    }
    unsaved = []
  }

  private func build(
    _ source: KernelSource, _ options: [String]
  ) throws(DeviceError) -> Program {
    var flags = ["-cl-std=CL1.2"]
    if entry.limits.roundsDivision { flags.append("-cl-fp32-correctly-rounded-divide-sqrt") }
    flags += options.map { "-D\($0)" }
    let flagText = flags.joined(separator: " ")
    let text = source.fullText
    let key = fingerprint(text, flagText)
    if let stored = cache.load(name: source.name, key: key),
      let handle = load(stored.binary, flagText)
    {
      log.debug("\(source.name): loaded from the cache \(options.joined(separator: " "))")
      return Program(source: source, handle: handle, key: key, variants: stored.variants)
    }
    let start = ContinuousClock.now
    let handle = try compile(text, flagText, name: source.name)
    log.info("\(source.name): built in \(start.duration(to: .now)) with \(flagText)")
    compilations += 1
    let program = Program(source: source, handle: handle, key: key, variants: [])
    markUnsaved(program)
    return program
  }

  private func fingerprint(_ text: String, _ flags: String) -> String {
    var print = Fingerprint()
    let device = entry.description
    for part in [
      device.name, device.vendor, device.driver, device.version, device.platform,
      entry.platformVersion, flags, text,
    ] { print.add(part) }
    return print.text
  }

  /// The program of a binary, or nil where the driver does not take it.
  private func load(_ binary: [UInt8], _ flags: String) -> OpaquePointer? {
    var device: OpaquePointer? = entry.device
    var length = binary.count
    var accepted = CL_SUCCESS
    var status = CL_SUCCESS
    let handle = binary.withUnsafeBufferPointer { bytes in
      var start = bytes.baseAddress
      return library.api.clCreateProgramWithBinary(
        context, 1, &device, &length, &start, &accepted, &status)
    }
    guard let handle else { return nil }
    if status == CL_SUCCESS, accepted == CL_SUCCESS,
      library.api.clBuildProgram(handle, 1, &device, flags, nil, nil) == CL_SUCCESS
    {
      return handle
    }
    _ = library.api.clReleaseProgram(handle)
    return nil
  }

  private func compile(
    _ text: String, _ flags: String, name: String
  ) throws(DeviceError) -> OpaquePointer {
    let api = library.api
    let handle = try make("clCreateProgramWithSource") { status in
      text.withCString { start in
        var start: UnsafePointer<CChar>? = start
        return api.clCreateProgramWithSource(context, 1, &start, nil, &status)
      }
    }
    var device: OpaquePointer? = entry.device
    let status = api.clBuildProgram(handle, 1, &device, flags, nil, nil)
    guard status == CL_SUCCESS else {
      let log = buildLog(of: handle)
      _ = api.clReleaseProgram(handle)
      guard log.isEmpty, status != CL_BUILD_PROGRAM_FAILURE else {
        throw .buildFailed(program: name, log: log)
      }
      throw failure(status, "clBuildProgram")
    }
    return handle
  }

  private func buildLog(of program: OpaquePointer) -> String {
    var size = 0
    let what = cl_program_build_info(CL_PROGRAM_BUILD_LOG)
    _ = library.api.clGetProgramBuildInfo(program, entry.device, what, 0, nil, &size)
    guard size > 0 else { return "" }
    var bytes = [UInt8](repeating: 0, count: size)
    _ = library.api.clGetProgramBuildInfo(program, entry.device, what, size, &bytes, nil)
    return String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
  }

  private func binary(of program: OpaquePointer) -> [UInt8]? {
    var size = 0
    let sizes = cl_program_info(CL_PROGRAM_BINARY_SIZES)
    guard
      library.api.clGetProgramInfo(program, sizes, MemoryLayout<Int>.size, &size, nil)
        == CL_SUCCESS, size > 0
    else { return nil }
    var bytes = [UInt8](repeating: 0, count: size)
    let status = bytes.withUnsafeMutableBufferPointer { buffer in
      var start = buffer.baseAddress
      return library.api.clGetProgramInfo(
        program, cl_program_info(CL_PROGRAM_BINARIES),
        MemoryLayout<UnsafeMutablePointer<UInt8>?>.size,
        &start, nil)
    }
    return status == CL_SUCCESS ? bytes : nil
  }
}
