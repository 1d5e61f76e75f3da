import Foundation
import Testing

/// Folders and checkpoints that cannot be used: nothing is written or changed.
@Suite struct RunFolderTests {
  /// A bench with a small run in the folder `run`.
  private func trained(_ more: String...) throws -> Workbench {
    let bench = Workbench()
    let outcome = try bench.keel(Workbench.training + ["--out", "run"] + more)
    try #require(outcome.status == 0, "\(outcome.transcript)")
    return bench
  }

  private func contents(_ bench: Workbench) throws -> [String: [UInt8]] {
    let names = try bench.names(in: "run")
    return Dictionary(uniqueKeysWithValues: names.map { ($0, bench.bytes("run/\($0)")) })
  }

  @Test("The folder of another run is refused and stays as it is")
  func keepsOtherRun() throws {
    let bench = try trained()
    let before = try contents(bench)
    expectRefusal(
      try bench.keel(Workbench.training + ["--out", "run"]),
      saying: "run: holds another run; resume it or choose another folder")
    #expect(try contents(bench) == before)
  }

  @Test("A file, a folder with other things, and a place that cannot be made")
  func refusesFolders() throws {
    let bench = Workbench()
    try bench.write([1, 2], to: "file")
    try bench.write([3], to: "folder/notes.txt")
    func train(_ out: String) throws -> Outcome {
      try bench.keel(Workbench.training + ["--out", out])
    }
    expectRefusal(try train("file"), saying: "file: is a file, not a folder")
    expectRefusal(try train("folder"), saying: "folder: is not empty")
    expectRefusal(try train("/proc/keel/run"), saying: "/proc/keel: cannot be created")
    expectRefusal(try train(""), saying: "needs a name")
    #expect(try bench.names() == ["file", "folder"])
    #expect(try bench.names(in: "folder") == ["notes.txt"])
  }

  @Test("A folder without a run")
  func refusesNoRun() throws {
    let bench = Workbench()
    for arguments in [
      ["evaluate", "none"], ["predict", "none", "a.png"], ["train", "--resume", "none"],
    ] {
      expectRefusal(try bench.keel(arguments), saying: "none: holds no run")
    }
    #expect(try bench.names() == [])
  }

  @Test("Damaged checkpoints")
  func refusesCheckpoints() throws {
    let bench = try trained()
    let good = bench.bytes("run/checkpoint.safetensors")
    let header = good.prefix(8).enumerated().reduce(0) { $0 | Int($1.element) << (8 * $1.offset) }
    var poisoned = good
    poisoned.replaceSubrange((8 + header)..<(12 + header), with: [0, 0, 0xC0, 0x7F])
    let damages: [([UInt8], String)] = [
      (Array(good.dropLast(100)), "is truncated"), (Array(good.prefix(5)), "has only 5 bytes"),
      ([], "has only 0 bytes"), (poisoned, "holds nan, which is never saved or loaded"),
      ([UInt8](repeating: 7, count: 3000), "is not a safetensors file"),
    ]
    for (bytes, sentence) in damages {
      try bench.write(bytes, to: "run/checkpoint.safetensors")
      let outcome = try bench.keel("evaluate", "run", "--device", "cpu")
      expectRefusal(outcome, saying: "run/checkpoint.safetensors: ", sentence)
      #expect(bench.bytes("run/checkpoint.safetensors") == bytes)
    }
  }

  @Test("The checkpoint of another model, and a description that is none")
  func refusesOtherModel() throws {
    let bench = try trained()
    _ = try bench.keel(Workbench.training(hidden: 9) + ["--out", "other"])
    try bench.write(
      bench.bytes("other/checkpoint.safetensors"), to: "run/checkpoint.safetensors")
    expectRefusal(
      try bench.keel("evaluate", "run", "--device", "cpu"),
      saying: "is of another model: 'dense1.weight' is 784x9 there, 784x8 here")
    try bench.write(Array("{\"version\": 1}".utf8), to: "run/run.json")
    expectRefusal(
      try bench.keel("evaluate", "run", "--device", "cpu"),
      saying: "run/run.json: is not what a training wrote")
  }

  @Test("A full disk ends the training and leaves nothing of the run")
  func survivesFullDisk() throws {
    let bench = Workbench()
    let disk = bench.path + "/disk"
    try FileManager.default.createDirectory(atPath: disk, withIntermediateDirectories: true)
    // Only root may mount; elsewhere the test of the library with a read-only folder remains.
    guard mount("tmpfs", disk, "tmpfs", 0, "size=64k") == 0 else { return }
    defer { umount(disk) }
    let outcome = try bench.keel(Workbench.training + ["--out", "disk/run"])
    #expect(outcome.status == 2)
    #expect(
      outcome.complaint.contains(
        "error: disk/run/checkpoint.safetensors: cannot be written: No space left on device"))
    #expect(try bench.names(in: "disk") == [])
  }
}
