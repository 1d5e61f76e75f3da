import FoundationEssentials
import Glibc

/// One thing that was looked at on this machine.
struct Finding {
  enum State: String {
    case good = "ok"
    case missing = "missing"
    case note = "note"
  }

  var state: State
  var what: String
  /// What to do about it, where something should be done.
  var advice: String?
}

/// Looks for what OpenCL needs on this machine: drivers, their registration, permissions.
///
/// Paths are below `root`, so that tests can lay out a machine in a folder.
struct Doctor {
  var root = ""

  /// Folders where drivers keep their libraries on Debian, Ubuntu, Fedora, Arch and in containers.
  private static let libraryFolders = [
    "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib",
    "/lib/x86_64-linux-gnu", "/usr/local/nvidia/lib64", "/usr/local/cuda/compat",
    "/opt/rocm/lib", "/opt/intel/opencl/lib",
  ]

  /// A vendor's driver: the device node that shows its hardware and the library that serves it.
  private static let drivers: [(name: String, nodes: [String], library: String, package: String)] =
    [
      (
        "NVIDIA", ["/dev/nvidiactl", "/dev/nvidia0", "/proc/driver/nvidia/version"],
        "libnvidia-opencl.so.1", "the NVIDIA driver's OpenCL part (nvidia-opencl-icd)"
      ),
      ("AMD", ["/dev/kfd"], "libamdocl64.so", "ROCm's OpenCL (rocm-opencl-runtime)"),
      ("Intel", [], "libigdrcl.so", "Intel's OpenCL (intel-opencl-icd)"),
      ("PoCL", [], "libpocl.so.2", "PoCL (pocl-opencl-icd)"),
    ]

  /// The `.icd` files that register drivers, and whether the library each names is there.
  func registrations() -> [Finding] {
    let folder = environment("OCL_ICD_VENDORS") ?? root + "/etc/OpenCL/vendors"
    let names = contents(of: folder).filter { $0.hasSuffix(".icd") }.sorted()
    if names.isEmpty {
      return [
        Finding(
          state: .missing, what: "no driver is registered in \(folder)",
          advice: "install your GPU's OpenCL driver, or PoCL for the CPU: "
            + "apt install pocl-opencl-icd")
      ]
    }
    return names.map { name in
      guard let data = FileManager.default.contents(atPath: folder + "/" + name) else {
        return Finding(
          state: .missing, what: "\(folder)/\(name) cannot be read",
          advice: "make it readable: chmod a+r \(folder)/\(name)")
      }
      let text = String(decoding: data, as: UTF8.self)
      let library = String(text.prefix { !$0.isNewline })
      guard let handle = dlopen(library, RTLD_LAZY | RTLD_LOCAL) else {
        let reason = dlerror().map { String(cString: $0) } ?? "unknown reason"
        return Finding(
          state: .missing, what: "\(name) names \(library), which does not load: \(reason)",
          advice: "reinstall that driver, or remove \(folder)/\(name)")
      }
      dlclose(handle)
      return Finding(state: .good, what: "\(name) registers \(library)")
    }
  }

  /// Drivers whose hardware or library is there, and whether both are.
  func hardware() -> [Finding] {
    Self.drivers.compactMap { driver in
      let node = driver.nodes.first { exists($0) }
      let library = Self.libraryFolders.map { $0 + "/" + driver.library }.first { exists($0) }
      switch (node, library) {
      case (nil, nil): return nil
      case (let node?, nil):
        return Finding(
          state: .missing, what: "\(driver.name) hardware (\(node)) without \(driver.library)",
          advice: "install \(driver.package)")
      case (_, let library?):
        return Finding(
          state: .good, what: "\(driver.name) driver library \(library)",
          advice: isRegistered(driver.library)
            ? nil
            : "it is not registered; as root: mkdir -p /etc/OpenCL/vendors && echo \(library) "
              + "> /etc/OpenCL/vendors/\(driver.name.lowercased()).icd, or without root: "
              + "OCL_ICD_VENDORS=FOLDER with such a file in it")
      }
    }
  }

  /// Device nodes that this user may not open.
  func permissions() -> [Finding] {
    let render = contents(of: root + "/dev/dri").filter { $0.hasPrefix("renderD") }
    let nodes =
      render.map { "/dev/dri/" + $0 } + ["/dev/kfd", "/dev/nvidiactl", "/dev/nvidia0"]
    return nodes.filter { exists($0) && access(root + $0, R_OK | W_OK) != 0 }.map { node in
      Finding(
        state: .missing, what: "\(node) may not be opened by this user",
        advice: "add the user to its group and log in again: "
          + "sudo usermod -aG render,video $USER")
    }
  }

  private func isRegistered(_ library: String) -> Bool {
    let folder = environment("OCL_ICD_VENDORS") ?? root + "/etc/OpenCL/vendors"
    // A driver may be registered by name or by path, with or without its version.
    let stem = String(library.prefix { $0 != "." })
    return contents(of: folder).contains { name in
      guard let data = FileManager.default.contents(atPath: folder + "/" + name) else {
        return false
      }
      return String(decoding: data, as: UTF8.self).contains(stem)
    }
  }

  private func exists(_ path: String) -> Bool { access(root + path, F_OK) == 0 }

  private func contents(of folder: String) -> [String] {
    (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
  }

  private func environment(_ name: String) -> String? {
    getenv(name).map { String(cString: $0) }
  }
}
