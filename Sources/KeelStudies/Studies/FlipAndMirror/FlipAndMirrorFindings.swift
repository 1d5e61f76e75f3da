/// Article C: dropout, Deadly Flip and mirror descent.
struct FlipAndMirrorFindings {
  let data: TrialData
  let plans: FlipAndMirrorPlans
  var findings = StudyFindings()

  init(_ data: TrialData, epochs: Int, progress: TrialProgress) throws {
    self.data = data
    plans = FlipAndMirrorPlans(epochs: epochs)
    try dropout(progress)
    try exchanges(progress)
    try flips(progress)
    try mirrors(progress)
  }
}
