import KeelData

/// Article D: batch descent, random batches, pairs, noise and splits.
struct RandomisationFindings {
  let data: TrialData
  let plans: RandomisationPlans
  /// How many random splits are repeated.
  let splits: Int
  var findings = StudyFindings()

  /// - Parameter splits: how many random splits are repeated.
  init(_ data: TrialData, epochs: Int, splits: Int, progress: TrialProgress) throws {
    self.data = data
    self.splits = splits
    plans = RandomisationPlans(epochs: epochs, examples: data.train.count, seed: data.seed)
    for net in RandomisationPlans.Net.allCases { try descents(net, progress) }
    try norms(progress)
    try rates(progress)
    try leaks(progress)
    try divisions(progress)
  }
}
