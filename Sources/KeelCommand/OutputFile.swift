import Glibc
import KeelData

/// A file that a command is to write at its end.
enum OutputFile {
  /// Throws where it could not be written: told at once, not after minutes of work.
  static func requireWritable(_ path: String) throws(DataError) {
    guard !DataFile.isFolder(path) else {
      throw DataError(.inaccessible, "is a folder; name a file", path: path)
    }
    // Beside it, so that what there is stays as it is until there is something new.
    let trial = path + ".trial"
    do { try DataFile.write([], to: trial) } catch {
      throw DataError(error.kind, error.problem, path: path)
    }
    unlink(trial)
  }
}
