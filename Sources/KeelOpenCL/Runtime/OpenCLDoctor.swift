internal import FoundationEssentials
internal import Glibc

/// One thing that was looked at on this machine.
package struct Finding: Sendable, Equatable {
  package enum State: String, Sendable {
    case good = "ok"
    case missing = "missing"
    case note = "note"
  }

  package var state: State
  package var what: String
  /// What to do about it, where something should be done.
  package var advice: String?

  package init(state: State, what: String, advice: String? = nil) {
    (self.state, self.what, self.advice) = (state, what, advice)
  }
}

/// Looks for what OpenCL needs on this machine: hardware, drivers, their registration, permissions.
///
/// Paths are below `root`, so that tests can lay out a machine in a folder.
package struct OpenCLDoctor {
  package var root: String
  /// The folder of `.icd` files that the loader reads.
  package var vendors: String
  /// Whether this user may read and write a path.
  package var mayOpen: (_ path: String) -> Bool = { access($0, R_OK | W_OK) == 0 }

  /// - Parameter vendors: the folder of `.icd` files; by default what OCL_ICD_VENDORS says, else
  ///   the loader's own.
  package init(root: String = "", vendors: String? = nil) {
    self.root = root
    let chosen = vendors ?? getenv("OCL_ICD_VENDORS").map { String(cString: $0) }
    self.vendors = chosen ?? root + "/etc/OpenCL/vendors"
  }

  /// Folders where drivers keep their libraries on Debian, Ubuntu, Fedora, Arch and in containers.
  private static let libraryFolders = [
    "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib",
    "/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu/intel-opencl",
    "/usr/lib64/intel-opencl", "/usr/local/nvidia/lib64", "/usr/local/nvidia/lib",
    "/usr/local/cuda/compat", "/usr/lib/wsl/lib", "/opt/rocm/lib", "/opt/intel/opencl/lib",
  ]

  /// A vendor's driver: what shows its hardware, the library that serves it, its package.
  private struct Driver {
    let name: String
    /// The number that the vendor's cards carry on the PCI bus.
    var vendor: String?
    var nodes: [String] = []
    let library: String
    let package: String
  }

  private static let drivers = [
    Driver(
      name: "NVIDIA", vendor: "0x10de",
      nodes: ["/dev/nvidiactl", "/dev/nvidia0", "/proc/driver/nvidia/version"],
      library: "libnvidia-opencl.so.1",
      package: "the NVIDIA driver's OpenCL part (nvidia-opencl-icd, or libnvidia-compute-VERSION; "
        + "a container needs NVIDIA_DRIVER_CAPABILITIES=compute,utility)"),
    Driver(
      name: "AMD", vendor: "0x1002", nodes: ["/dev/kfd"], library: "libamdocl64.so",
      package: "ROCm's OpenCL (rocm-opencl-runtime)"),
    Driver(
      name: "Intel", vendor: "0x8086", library: "libigdrcl.so",
      package: "Intel's OpenCL (intel-opencl-icd)"),
    Driver(name: "PoCL", library: "libpocl.so.2", package: "PoCL (pocl-opencl-icd)"),
  ]

  /// Drivers whose hardware or library is there, and whether both are.
  package func hardware() -> [Finding] {
    Self.drivers.compactMap { driver in
      let card = driver.nodes.first { exists($0) } ?? driver.vendor.flatMap(card(of:))
      let library = Self.libraryFolders.map { $0 + "/" + driver.library }.first { exists($0) }
      switch (card, library) {
      case (nil, nil): return nil
      case (let card?, nil):
        return Finding(
          state: .missing, what: "\(driver.name) hardware (\(card)) without \(driver.library)",
          advice: "install \(driver.package)")
      case (_, let library?):
        if isRegistered(driver.library) {
          return Finding(state: .good, what: "\(driver.name) driver library \(library)")
        }
        return Finding(
          state: .missing,
          what: "\(driver.name) driver library \(library) is not registered in \(vendors)",
          advice: registration(of: library, as: driver.name.lowercased()))
      }
    }
  }

  private func registration(of library: String, as name: String) -> String {
    "as root: mkdir -p /etc/OpenCL/vendors && echo \(library) > /etc/OpenCL/vendors/\(name).icd; "
      + "without root: mkdir -p ~/icd && echo \(library) > ~/icd/\(name).icd && "
      + "export OCL_ICD_VENDORS=~/icd"
  }

  /// The graphics card whose vendor number is this one.
  private func card(of vendor: String) -> String? {
    names(in: root + "/sys/class/drm").filter { $0.hasPrefix("renderD") }.first { card in
      text(of: root + "/sys/class/drm/\(card)/device/vendor")?.hasPrefix(vendor) ?? false
    }.map { "/dev/dri/" + $0 }
  }

  /// The `.icd` files that register drivers, and whether the library each names is there.
  package func registrations() -> [Finding] {
    let files = names(in: vendors).filter { $0.hasSuffix(".icd") }.sorted()
    if files.isEmpty {
      return [
        Finding(
          state: .missing, what: "no driver is registered in \(vendors)",
          advice: "install your GPU's OpenCL driver, or PoCL for the CPU: "
            + "apt install pocl-opencl-icd")
      ]
    }
    return files.map(registration(in:))
  }

  private func registration(in file: String) -> Finding {
    let path = vendors + "/" + file
    guard let text = text(of: path) else {
      return Finding(
        state: .missing, what: "\(path) cannot be read",
        advice: "make it readable: sudo chmod a+r \(path)")
    }
    let library = String(text.prefix { !$0.isNewline })
    guard !library.isEmpty else {
      return Finding(
        state: .missing, what: "\(path) is empty; it should name a driver's library",
        advice: "reinstall that driver, or remove \(path)")
    }
    let target = library.hasPrefix("/") ? root + library : library
    guard let handle = dlopen(target, RTLD_LAZY | RTLD_LOCAL) else {
      let reason = dlerror().map { String(cString: $0) } ?? "unknown reason"
      return Finding(
        state: .missing, what: "\(file) names \(library), which does not load: \(reason)",
        advice: "reinstall that driver, or remove \(path)")
    }
    dlclose(handle)
    return Finding(state: .good, what: "\(file) registers \(library)")
  }

  /// Device nodes that this user may not open.
  package func permissions() -> [Finding] {
    let render = names(in: root + "/dev/dri").filter { $0.hasPrefix("renderD") }.sorted()
    let nodes =
      render.map { "/dev/dri/" + $0 } + ["/dev/kfd", "/dev/nvidiactl", "/dev/nvidia0"]
    return nodes.filter { exists($0) && !mayOpen(root + $0) }.map { node in
      let isNVIDIA = node.hasPrefix("/dev/nvidia")
      return Finding(
        state: .missing, what: "\(node) may not be opened by this user",
        advice: isNVIDIA
          ? "sudo chmod a+rw /dev/nvidia*, or load the driver with NVreg_DeviceFileMode=0666"
          : "add the user to its group and log in again: sudo usermod -aG render,video $USER")
    }
  }

  private func isRegistered(_ library: String) -> Bool {
    // A driver may be registered by name or by path, with or without its version.
    let stem = String(library.prefix { $0 != "." })
    return names(in: vendors).contains { name in
      name.hasSuffix(".icd") && text(of: vendors + "/" + name)?.contains(stem) ?? false
    }
  }

  private func exists(_ path: String) -> Bool { access(root + path, F_OK) == 0 }

  private func names(in folder: String) -> [String] {
    (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
  }

  private func text(of path: String) -> String? {
    FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) }
  }
}
