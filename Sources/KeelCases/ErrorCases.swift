internal import KeelAutograd
internal import KeelBackend

/// Calls that every device refuses alike, each with its sentence.
extension ErrorCase {
  // Filled family by family below.
}

enum ErrorCases {
  static let all: [ErrorCase] = []
}
