internal import COneDNN
internal import CKeelLoops
internal import Glibc
internal import KeelBackend

extension DeviceDescription {
  /// This machine as a device.
  static func host() -> DeviceDescription {
    var (major, minor, patch) = (Int32(0), Int32(0), Int32(0))
    keel_dnn_version(&major, &minor, &patch)
    let processor = firstProcessor()
    let pages = sysconf(Int32(_SC_PHYS_PAGES)) * sysconf(Int32(_SC_PAGESIZE))
    let cores = Int(keel_core_count())
    return DeviceDescription(
      selector: "cpu",
      name: processor["model name"] ?? "CPU",
      vendor: processor["vendor_id"] ?? "unknown",
      platform: "Keel CPU loops and oneDNN",
      driver: "oneDNN \(major).\(minor).\(patch)",
      version: instructionSet(processor["flags"] ?? ""),
      kind: .cpu,
      memoryBytes: min(pages, containerLimit() ?? pages),
      computeUnits: cores > 0 ? cores : Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))
  }

  /// The first block of `/proc/cpuinfo`, by key.
  private static func firstProcessor() -> [String: String] {
    var entries: [String: String] = [:]
    for line in lines(of: "/proc/cpuinfo") {
      guard let colon = line.firstIndex(of: ":") else { break }
      let key = line[..<colon].filter { $0 != "\t" }
      entries[key] = String(line[line.index(after: colon)...].drop { $0 == " " })
    }
    return entries
  }

  /// The widest variant of the loops that this processor runs.
  private static func instructionSet(_ flags: String) -> String {
    #if arch(x86_64)
    let flags = Set(flags.split(separator: " "))
    if flags.isSuperset(of: ["avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"]) {
      return "x86-64-v4 (AVX-512)"
    }
    return flags.isSuperset(of: ["avx2", "fma"]) ? "x86-64-v3 (AVX2)" : "x86-64"
    #elseif arch(arm64)
    return "arm64"
    #else
    return "generic"
    #endif
  }

  /// The memory limit of the container, if there is one.
  private static func containerLimit() -> Int? {
    lines(of: "/sys/fs/cgroup/memory.max").first.flatMap { Int($0) }
  }

  private static func lines(of path: String) -> [Substring] {
    guard let file = fopen(path, "r") else { return [] }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var block = [UInt8](repeating: 0, count: 4096)
    while bytes.count < 1 << 16 {
      let count = fread(&block, 1, block.count, file)
      if count == 0 { break }
      bytes += block[..<count]
    }
    return String(decoding: bytes, as: UTF8.self)
      .split(separator: "\n", omittingEmptySubsequences: false)
  }
}
